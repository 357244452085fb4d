"""Turn conversations into pairs of a source and its reply, and split them by question."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from s2s_plugin.corpora.cleaning import Pair
from s2s_plugin.corpora.splits import Splits, collect, dedup, split_name
from s2s_plugin.errors import UserError
from s2s_plugin.text.normalize import match_key
from s2s_plugin.text.retrieval import TURN, last_turn


def join_turns(turns: Sequence[str], history: int) -> str:
    """Return the last ``history`` turns of a conversation as a source: ``how are you <turn> fine <turn> good``.

    The text <turn> in a turn becomes <turn >, which separates nothing.
    """
    return f" {TURN} ".join(turn.replace(TURN, "<turn >") for turn in turns[-history:])


def exchanges(turns: Sequence[str], history: int) -> Iterator[Pair]:
    """Yield each turn of a conversation after the first as the reply to those before it."""
    for number in range(1, len(turns)):
        yield join_turns(turns[:number], history), turns[number]


def check_history(history: int) -> None:
    """Raise UserError unless sources have at least one turn, the one that is answered."""
    if history < 1:
        raise UserError(f"data.history must be at least 1, got {history}")


def question_key(source: str) -> str:
    """Return what equal questions share: the letters and digits of the last turn, without spaces."""
    return match_key(last_turn(source)).replace(" ", "")


def split_by_question(items: Iterable[tuple[str, Pair]], valid: float, test: float) -> Splits:
    """Split ``(group, pair)`` items by the hash of the group, so that no question is in two splits.

    A question, the last turn of a source, appears once in test and in valid. Pairs whose question is held out
    elsewhere are dropped, whatever turns precede it. Replies may be in several splits: many questions share theirs.
    """
    splits = collect((split_name(group, valid, test), pair) for group, pair in items)
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
    """Return the pairs that answer no held-out question, whatever turns precede it."""
    questions = {question_key(source) for source, _ in held_out}
    return [pair for pair in pairs if question_key(pair[0]) not in questions]
