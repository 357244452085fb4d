"""``s2s chat``: a conversation with a trained run, which says how sure it is, and says so where it is not."""

from __future__ import annotations

import contextlib
import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig
from sacrebleu.metrics import CHRF

from s2s_plugin.corpora import dialogues as dialogue
from s2s_plugin.corpora.splits import match_key
from s2s_plugin.errors import UserError
from s2s_plugin.inference.stream import windows
from s2s_plugin.inference.translator import Hypothesis, Translator, generation_key
from s2s_plugin.utils.console import say
from s2s_plugin.utils.io import fingerprint, read_json, read_lines, write_json
from s2s_plugin.utils.run_dir import RunDir

LEAVE = ("quit", "exit")
TRIED = 500  # validation items by which the threshold is chosen
KEPT = 0.9  # share of the right replies there that are said
RIGHT = 50.0  # sentence chrF from which a reply passes for the expected one


@dataclass(frozen=True)
class Reply:
    """What is said.

    Attributes:
        text: the reply, or the fallback.
        confidence: geometric mean of the probabilities of the reply's symbols, </s> among them; 0 to 1.
        sure: whether the reply is said.
    """

    text: str
    confidence: float
    sure: bool


class Chatbot:
    """Answers turn by turn and remembers the conversation.

    Args:
        translator: with the run's model.
        options: the group ``chat``; its threshold is set.
        history: turns that a source holds at most.
        frequency: how often each reply comes in training, by :func:`match_key`.
    """

    def __init__(self, translator: Translator, options: DictConfig, history: int, frequency: Mapping[str, int]):
        self.translator, self.options, self.frequency = translator, options, frequency
        self.history = history
        self.turns: list[str] = []

    def reply(self, turn: str) -> Reply:
        """The reply to a turn; the fallback where it is not sure enough, or has no words.

        Neither is remembered where the fallback is said: nothing follows from it.
        """
        turns = [*self.turns, turn.replace(dialogue.TURN, " ")][-self.history :]
        (candidates,) = self.translator.candidates([dialogue.source_of(turns, self.history)])
        best = choose(candidates, self.frequency, self.options)
        if not best.text or best.confidence < self.options.threshold:
            return Reply(self.options.fallback, best.confidence, sure=False)
        self.turns = [*turns, best.text]
        return Reply(best.text, best.confidence, sure=True)


def choose(found: Sequence[Hypothesis], frequency: Mapping[str, int], options: DictConfig) -> Hypothesis:
    """Of ``options.candidates``, that with the highest score - penalty * log(1 + times that it is said in training).

    MMI-antiLM (Li et al. 2016, section 4.1) takes lambda log P(reply) from log P(reply | source). Here whole replies
    are counted in the place of a language model, so what nobody says in training loses nothing.
    """

    def value(candidate: Hypothesis) -> float:
        return candidate.score - options.generic_penalty * math.log1p(frequency.get(match_key(candidate.text), 0))

    return max(found[: options.candidates], key=value)


def reply_frequency(data: Path, language: str) -> Counter[str]:
    """How often each reply of the training text comes."""
    return Counter(map(match_key, read_lines(data / "text" / f"train.{language}")))


def best_threshold(confidences: Sequence[float], right: Sequence[bool]) -> float:
    """The highest confidence that keeps nine of ten right replies; 0, which keeps all, where none is right.

    It costs few good replies: what parts right from wrong best (Youden 1950) says nothing most of the time in small
    talk, where most good replies are not the one that is expected.
    """
    of_right = sorted((confidence for confidence, good in zip(confidences, right, strict=True) if good), reverse=True)
    return of_right[math.ceil(KEPT * len(of_right)) - 1] if of_right else 0.0


def calibrate(cfg: DictConfig, run: RunDir, translator: Translator, frequency: Mapping[str, int]) -> dict:
    """The threshold, and what it keeps, for this checkpoint and search; ``chat.json`` holds it for the next time.

    A reply counts as right where its sentence chrF with the expected one is at least 50.
    """
    checkpoint, path = run.best_checkpoint(), run.folder / "chat.json"
    made, task = (checkpoint.name, checkpoint.stat().st_mtime_ns), translator.task.cfg
    key = fingerprint(*made, *generation_key(cfg), cfg.chat.generic_penalty, cfg.chat.candidates, KEPT)
    if (known := read_json(path)) is not None and known["key"] == key:
        return known
    say(f"      {run.folder}: the first time; how sure it must be is found on validation replies")
    text = Path(task.data) / "text"
    sources, references = (read_lines(text / f"valid.{lang}") for lang in (task.source_lang, task.target_lang))
    step = max(1, len(sources) // TRIED)
    found = [choose(each, frequency, cfg.chat) for each in translator.candidates(sources[::step])]
    chrf = CHRF()
    right = [
        chrf.sentence_score(each.text, [reference]).score >= RIGHT
        for each, reference in zip(found, references[::step], strict=True)
    ]
    threshold = best_threshold([each.confidence for each in found], right)
    kept = [good for each, good in zip(found, right, strict=True) if each.confidence >= threshold]
    result = {
        "key": key,
        "threshold": round(threshold, 3),
        "replies": len(found),
        "right": sum(right),
        "kept": len(kept),
        "right of these": sum(kept),
    }
    write_json(path, result)
    return result


def chat(cfg: DictConfig, run: RunDir) -> None:
    """A conversation: turns from the terminal or standard input, lines ``reply <tab> confidence`` to standard output.

    Raises:
        UserError: the run does not read text, a line is not UTF-8, or options say two ways to choose the reply.
    """
    if cfg.task.mbr != "none":
        raise UserError(f"task.mbr={cfg.task.mbr} and chat.generic_penalty both choose the reply: leave task.mbr out")
    if cfg.chat.candidates < 1:
        raise UserError(f"chat.candidates is {cfg.chat.candidates}: give at least 1")
    cfg.generation.beam = max(cfg.chat.candidates, 0 if cfg.generation.sampling else cfg.generation.beam)
    translator = Translator(run.best_checkpoint(), cfg.generation, cpu=cfg.common.cpu, task=cfg.task, nbest=True)
    if translator.task.modality != "text" or translator.task.codec is None:
        raise UserError(f"{run.folder} does not read text that s2s prepare has made: chat with a run of app=chatbot")
    task = translator.task.cfg
    frequency = reply_frequency(Path(task.data), str(task.target_lang))
    if cfg.chat.threshold is None:
        found = calibrate(cfg, run, translator, frequency)
        cfg.chat.threshold = found["threshold"]
        say(
            f"{run.folder}: replies with a confidence below {found['threshold']:.2f} are withheld. In validation that "
            f"keeps {found['kept']} of {found['replies']}, {found['right of these']} of them right; "
            f"{found['right']} of all are"
        )
    bot = Chatbot(translator, cfg.chat, cfg.data.history, frequency)
    for turn in said():
        answer = bot.reply(turn)
        print(f"{answer.text}\t{answer.confidence:.2f}", flush=True)


def said() -> Iterator[str]:
    """Turns of the user, until ``quit`` or the end of the input; nothing for an empty line."""
    terminal = sys.stdin.isatty()
    if terminal:
        say("type what you say; quit or Ctrl-D ends")
    for turn in typed() if terminal else piped():
        turn = turn.strip()
        if turn.lower() in LEAVE:
            return
        if turn:
            yield turn


def typed() -> Iterator[str]:
    """Lines from the terminal, with a prompt and, where Python has readline, with editing."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401
    while True:
        try:
            yield input("> ")
        except EOFError:
            print()
            return


def piped() -> Iterator[str]:
    """Lines of standard input."""
    for _, lines in windows(sys.stdin.fileno(), 1, str):
        yield from lines
