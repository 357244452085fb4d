"""Conversations to pairs of what was said and what was answered; a split that holds questions out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from omegaconf import DictConfig

from s2s_plugin.corpora.lines import read_lines
from s2s_plugin.corpora.splits import SPLITS, Pair, Splits, check_shares, clean_text, dedup, match_key, split_name
from s2s_plugin.errors import UserError
from s2s_plugin.text.retrieval import TURN, last_turn
from s2s_plugin.utils.console import say

Conversation = Sequence[str]  # turns, oldest first; the two sides take turns


def source_of(turns: Sequence[str], history: int) -> str:
    """The last ``history`` turns of a conversation as a source: ``how are you <turn> fine <turn> good``."""
    return f" {TURN} ".join(turns[-history:])


def exchanges(conversation: Conversation, history: int) -> Iterator[Pair]:
    """Each turn but the first as the reply to those before it."""
    for number in range(1, len(conversation)):
        yield source_of(conversation[:number], history), conversation[number]


def check_history(history: int) -> None:
    """
    Raises:
        UserError: a reply follows from at least one turn.
    """
    if history < 1:
        raise UserError(f"data.history is {history}: give at least 1, the turn that is answered")


def question_key(source: str) -> str:
    """What two questions share that count as the same: the letters and digits of the last turn, without spaces."""
    return match_key(last_turn(source)).replace(" ", "")


def split_by_question(items: Iterable[tuple[str, Pair]], valid: float, test: float) -> Splits:
    """Split ``(group, pair)`` items by the hash of the group, so that no question is on two sides.

    A question, which is the last turn of a source, comes once in test and in valid. Pairs whose question is held out
    elsewhere are dropped, whatever turns stand before it. Replies may be on both sides: many questions share theirs.
    """
    check_shares(valid, test)
    splits: Splits = {name: [] for name in SPLITS}
    for group, pair in items:
        splits[split_name(group, valid, test)].append(pair)
    held_out: set[str] = set()
    for name in ("test", "valid"):
        firsts: dict[str, Pair] = {}
        for pair in splits[name]:
            firsts.setdefault(question_key(pair[0]), pair)
        splits[name] = [pair for key, pair in firsts.items() if key not in held_out]
        held_out |= firsts.keys()
    splits["train"] = without_questions(dedup(splits["train"]), splits["valid"] + splits["test"])
    return splits


def without_questions(pairs: Iterable[Pair], held_out: Iterable[Pair]) -> list[Pair]:
    """The pairs that answer none of the questions held out, whatever turns stand before it."""
    asked = {question_key(source) for source, _ in held_out}
    return [pair for pair in pairs if question_key(pair[0]) not in asked]


def read_conversations(path: Path) -> Sequence[Conversation]:
    """Conversations of a text file: one turn a line, the two sides in turn, an empty line between conversations.

    Raises:
        UserError: the file cannot be read, or a line is unusable, or nobody answers.
    """
    found: list[list[str]] = [[]]
    for number, line in enumerate(read_lines(path, empty_lines=True), start=1):
        if isinstance(line, UserError):
            raise line
        turn = clean_text(line, plain_quotes=False)
        if TURN in turn:
            raise UserError(f"{path}, line {number}: holds {TURN}, which stands between turns; write one turn a line")
        if turn:
            found[-1].append(turn)
        elif found[-1]:
            found.append([])
    conversations = [turns for turns in found if len(turns) > 1]
    if not conversations:
        raise UserError(f"{path}: no conversation of two turns; write one turn a line, and an empty line between two")
    return conversations


def own_splits(data: DictConfig) -> Splits:
    """The user's conversations, ``data.dialogues``; held-out ones are taken from them where none are given.

    Raises:
        UserError: see :func:`read_conversations`; or there are too few to hold some out.
    """
    check_history(data.history)
    splits: Splits = {}
    for split, name in zip(SPLITS, ("dialogues", "valid_dialogues", "test_dialogues"), strict=True):
        if data[name] is not None:
            conversations = read_conversations(Path(data[name]))
            splits[split] = [pair for turns in conversations for pair in exchanges(turns, data.history)]
            groups = [question_key(turns[0]) for turns in conversations for _ in turns[1:]]
            if split == "train":
                items = list(zip(groups, splits[split], strict=True))
    share = min(data.held_out / len(items), 0.1)
    asked = {question_key(source) for split in SPLITS[1:] for source, _ in splits.get(split, [])}
    if leaks := sum(question_key(source) in asked for source, _ in splits["train"]):
        say(f"      {leaks:,} training replies answer a question in your own held-out files: scores will flatter")
    shares = {split: 0.0 if split in splits else share for split in ("valid", "test")}
    parts = split_by_question(items, **shares)
    splits |= {split: pairs for split, pairs in parts.items() if pairs}
    if len(splits) < len(SPLITS):
        raise UserError(
            f"{data.dialogues}: {len(items):,} replies are too few to hold some out; "
            "give more, or data.valid_dialogues and data.test_dialogues"
        )
    return splits
