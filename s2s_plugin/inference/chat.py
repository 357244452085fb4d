"""Hold a conversation with a trained run (``s2s chat``); replies of low confidence are withheld."""

from __future__ import annotations

import contextlib
import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig
from sacrebleu.metrics import CHRF

from s2s_plugin.corpora.dialogues import join_turns
from s2s_plugin.errors import UserError
from s2s_plugin.inference.failures import report_failures
from s2s_plugin.inference.hypothesis import Hypothesis
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.inference.stream import Line, windows
from s2s_plugin.inference.translator import Translator, load_translator
from s2s_plugin.tasks.config import generation_key
from s2s_plugin.text.normalize import match_key
from s2s_plugin.utils.console import say
from s2s_plugin.utils.digests import read_prepared
from s2s_plugin.utils.io import NUMBER, fingerprint, read_json, write_json

QUIT = ("quit", "exit")
CALIBRATION_ITEMS = 500  # of the validation set, to choose the threshold on
TARGET_RECALL = 0.9  # share of the correct replies there that the threshold keeps
CORRECT_CHRF = 50.0  # sentence chrF from which a reply counts as the expected one


class Reply(NamedTuple):
    """A turn of the bot."""

    text: str  # the reply, or the fallback
    confidence: float  # geometric mean of the token probabilities of the reply, including </s>; 0 to 1
    sure: bool  # whether the text is the reply


class Chatbot:
    """Answer turn by turn and remember the conversation.

    ``options`` is the group ``chat`` with a threshold; ``history`` limits the turns in a source.
    """

    def __init__(self, translator: Translator, options: DictConfig, history: int, frequency: Mapping[str, int]):
        self.translator, self.options, self.history, self.frequency = translator, options, history, frequency
        self.turns: list[str] = []

    def reply(self, turn: str) -> Reply:
        """Reply to a turn; with the fallback if the reply is empty or below the threshold.

        The conversation remembers neither a fallback nor the turn before it: nothing follows from them.
        """
        turns = [*self.turns, turn][-self.history :]
        (candidates,) = self.translator.candidates([join_turns(turns, self.history)])
        best = choose(candidates, self.frequency, self.options)
        if not best.text or best.confidence < self.options.threshold:
            return Reply(self.options.fallback, best.confidence, sure=False)
        self.turns = [*turns, best.text]
        return Reply(best.text, best.confidence, sure=True)


def choose(candidates: Sequence[Hypothesis], frequency: Mapping[str, int], options: DictConfig) -> Hypothesis:
    """Choose the reply with the highest score - penalty * log(1 + its frequency in training).

    MMI-antiLM (Li et al. 2016, section 4.1) subtracts lambda log P(reply) from log P(reply | source). Counts of whole
    replies stand in for the language model, so that a reply that never occurs in training loses nothing.
    """

    def value(candidate: Hypothesis) -> float:
        return candidate.score - options.generic_penalty * math.log1p(frequency.get(match_key(candidate.text), 0))

    return max(candidates[: options.candidates], key=value)


def best_threshold(confidences: Sequence[float], correct: Sequence[bool]) -> float:
    """Return the highest confidence that keeps nine of ten correct replies; 0, which keeps all, if none is correct.

    It costs few good replies. The best separation of correct and wrong (Youden 1950) would withhold most replies of
    small talk, where most good replies are not the expected one.
    """
    of_correct = sorted((conf for conf, good in zip(confidences, correct, strict=True) if good), reverse=True)
    return of_correct[math.ceil(TARGET_RECALL * len(of_correct)) - 1] if of_correct else 0.0


def calibrate(cfg: DictConfig, run: RunDir, translator: Translator, frequency: Mapping[str, int]) -> dict:
    """Choose the threshold for this checkpoint and search on validation replies; ``chat.json`` caches it.

    A reply counts as correct if its sentence chrF with the expected one is at least 50.
    """
    checkpoint, path = run.best_checkpoint(), run.folder / "chat.json"
    version, task = (checkpoint.name, checkpoint.stat().st_mtime_ns), translator.task.cfg
    key = fingerprint(*version, *generation_key(cfg), cfg.chat.generic_penalty, cfg.chat.candidates, TARGET_RECALL)
    if (cached := read_json(path, {"key": str, "threshold": NUMBER})) is not None and cached["key"] == key:
        return cached
    say(f"      {run.folder}: first use; choosing the confidence threshold on validation replies")
    text = Path(task.data) / "text"
    sources, references = (read_prepared(text / f"valid.{lang}") for lang in (task.source_lang, task.target_lang))
    step, chrf = max(1, len(sources) // CALIBRATION_ITEMS), CHRF()
    replies = [choose(each, frequency, cfg.chat) for each in translator.candidates(sources[::step])]
    pairs = zip(replies, references[::step], strict=True)
    scores = [chrf.sentence_score(reply.text, [reference]).score for reply, reference in pairs]
    correct = [score >= CORRECT_CHRF for score in scores]
    threshold = best_threshold([each.confidence for each in replies], correct)
    kept = [good for each, good in zip(replies, correct, strict=True) if each.confidence >= threshold]
    result = {"key": key, "threshold": round(threshold, 3), "replies": len(replies)}
    result |= {"correct": sum(correct), "kept": len(kept), "correct_kept": sum(kept)}
    try:
        write_json(path, result)
    except UserError as error:
        say(f"      {error}; the threshold is chosen at each start")
    return result


def open_chat(cfg: DictConfig, run: RunDir) -> Chatbot:
    """Return the chatbot of a run; its threshold is chosen on the validation set unless the config has one.

    Raises:
        UserError: options exclude each other, or the run has no text made by the prepare stage.
    """
    if cfg.task.mbr != "none":
        raise UserError(f"task.mbr={cfg.task.mbr} and chat.generic_penalty are mutually exclusive")
    if cfg.chat.candidates < 1:
        raise UserError(f"chat.candidates must be at least 1, got {cfg.chat.candidates}")
    cfg.generation.beam = max(cfg.chat.candidates, 0 if cfg.generation.sampling else cfg.generation.beam)
    translator = load_translator(cfg, run)
    if translator.task.modality != "text" or translator.task.codec is None:
        raise UserError(f"s2s chat requires text made by s2s prepare, and {run.folder} has none; use app=chatbot")
    frequency = reply_frequency(translator)
    if cfg.chat.threshold is None:
        result = calibrate(cfg, run, translator, frequency)
        cfg.chat.threshold = result["threshold"]
        say(
            f"{run.folder}: replies with a confidence below {result['threshold']:.2f} are withheld. In validation "
            f"{result['kept']} of {result['replies']} are kept, {result['correct_kept']} of them correct; "
            f"{result['correct']} of all are correct"
        )
    return Chatbot(translator, cfg.chat, cfg.data.history, frequency)


def reply_frequency(translator: Translator) -> Counter[str]:
    """Return how often each reply occurs in training."""
    task = translator.task.cfg
    return Counter(map(match_key, read_prepared(Path(task.data) / "text" / f"train.{task.target_lang}")))


def chat(cfg: DictConfig, run: RunDir) -> None:
    """Read turns from the terminal or standard input and print lines ``reply <tab> confidence``."""
    bot = open_chat(cfg, run)
    with report_failures("lines") as fail:
        for where, turn in read_turns():
            if isinstance(turn, UserError):
                fail(where, turn)
                continue
            answer = bot.reply(turn)
            print(f"{answer.text}\t{answer.confidence:.2f}", flush=True)


def read_turns() -> Iterator[tuple[str, Line]]:
    """Yield the user's turns and where they are, without empty lines, until ``quit`` or the end of the input."""
    if sys.stdin.isatty():
        say("type a message; quit or Ctrl-D ends")
        with contextlib.suppress(ImportError):  # not in every Python; lets the user edit the line
            import readline  # noqa: F401
        lines: Iterator[tuple[str, Line]] = iter(lambda: ("", input("> ")), None)
    else:
        lines = (line for window in windows(sys.stdin.fileno(), 1) for line in window)
    try:
        for where, line in lines:
            turn = line if isinstance(line, UserError) else line.strip()
            if isinstance(turn, str) and turn.lower() in QUIT:
                return
            if turn:
                yield where, turn
    except EOFError:  # Ctrl-D
        print()
