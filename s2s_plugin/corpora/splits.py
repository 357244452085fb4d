"""Splits that do not leak: into train, valid and test by a hash, the same on every machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from s2s_plugin.corpora.cleaning import Pair
from s2s_plugin.errors import UserError
from s2s_plugin.text.normalize import match_key
from s2s_plugin.utils.io import hash_fraction

T = TypeVar("T")
Splits = dict[str, list[Pair]]  # "train", "valid", "test"
SPLITS = ("train", "valid", "test")


def check_fractions(valid: float, test: float) -> None:
    """Raise UserError unless both fractions are positive and leave something for training."""
    if not (valid > 0 and test > 0 and valid + test < 1):
        raise UserError(f"valid and test must be fractions above 0 with a sum below 1, got {valid} and {test}")


def split_name(group: str, valid: float, test: float) -> str:
    """Return the split of a group by the hash of its name, whatever else is in the data.

    ``valid`` and ``test`` are the fractions of groups that go to these splits.
    """
    position = hash_fraction(group)
    if position < test:
        return "test"
    return "valid" if position < test + valid else "train"


def collect(items: Iterable[tuple[str, T]]) -> dict[str, list[T]]:
    """Return the items of each split, from pairs of a split's name and an item."""
    splits: dict[str, list[T]] = {name: [] for name in SPLITS}
    for name, item in items:
        splits[name].append(item)
    return splits


def split_by_group(items: Iterable[tuple[str, Pair]], valid: float, test: float) -> Splits:
    """Split ``(group, pair)`` items so that a group never spans two splits and no line of one is in another.

    In test and valid each line appears once (a source with two references would count twice). A valid pair
    with a side in test, and a train pair with a side in valid or test (see :func:`match_key`), is dropped.
    """
    splits = collect((split_name(group, valid, test), pair) for group, pair in items)
    sources: set[str] = set()
    targets: set[str] = set()
    for name in ("test", "valid"):
        splits[name] = [pair for pair in splits[name] if _is_new(pair, sources, targets)]
    splits["train"] = without_leaks(dedup(splits["train"]), splits["valid"] + splits["test"])
    return splits


def _is_new(pair: Pair, sources: set[str], targets: set[str]) -> bool:
    """Return whether neither side has been seen before; if so, add them to the ones seen."""
    source, target = map(match_key, pair)
    if source in sources or target in targets:
        return False
    sources.add(source)
    targets.add(target)
    return True


def dedup(pairs: Iterable[Pair]) -> list[Pair]:
    """Return the first of each distinct pair, ignoring case, spacing and punctuation."""
    first: dict[Pair, Pair] = {}
    for pair in pairs:
        first.setdefault((match_key(pair[0]), match_key(pair[1])), pair)
    return list(first.values())


def without_leaks(pairs: Iterable[Pair], held_out: Sequence[Pair], across_sides: bool = False) -> list[Pair]:
    """Return the pairs that share no side with a held-out pair (see :func:`match_key`).

    ``across_sides``: a source must not be a held-out target either, as in a corpus of several directions.
    """
    sources, targets = ({match_key(pair[side]) for pair in held_out} for side in (0, 1))
    if across_sides:
        sources = targets = sources | targets
    return [pair for pair in pairs if match_key(pair[0]) not in sources and match_key(pair[1]) not in targets]
