"""New training pairs from words that occur in the same environment.

Andreas 2020, "Good-Enough Compositional Data Augmentation"; its fragments are here, as in its experiments with SCAN, a
word of the source and a word of the target.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import product

from s2s_plugin.corpora.cleaning import Pair

MAX_WORDS = 40  # of both sides of a pair together
MAX_PARTNERS = 50  # of a fragment in one environment
ATTEMPTS = 50  # for each new pair

Words = tuple[str, ...]
Hole = tuple[str | None, ...]  # a sentence with None in the place of a word
Fragment = tuple[str, str]  # a source word and a target word


def recombine(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """Return up to ``count`` new pairs, with sources that ``pairs`` does not have; the same ones in each call.

    In each a source word and a target word are replaced, wherever they stand in the pair, by two others that elsewhere
    stand between the same words: from ``walk`` = ``I_WALK``, ``jump`` = ``I_JUMP`` and ``walk left`` follows ``jump
    left``.
    """
    draw = random.Random(0)
    split = [(tuple(source.split()), tuple(target.split())) for source, target in dict.fromkeys(pairs)]
    split = [(source, target) for source, target in split if len(source) + len(target) <= MAX_WORDS]
    partners = _partners(split, draw)
    origins = [
        (pair, fragment)
        for pair in split
        for fragment in product(dict.fromkeys(pair[0]), dict.fromkeys(pair[1]))
        if fragment in partners
    ]
    known = {" ".join(source.split()) for source, _ in pairs}
    made: list[Pair] = []
    for _ in range(ATTEMPTS * count if origins else 0):
        pair, old = draw.choice(origins)
        new = draw.choice(partners[old])
        source, target = (
            " ".join(by if word == out else word for word in words)
            for words, out, by in zip(pair, old, new, strict=True)
        )
        if source not in known:
            known.add(source)
            made.append((source, target))
        if len(made) == count:
            break
    return made


def _partners(pairs: Sequence[tuple[Words, Words]], draw: random.Random) -> dict[Fragment, list[Fragment]]:
    """Return for each fragment those that may replace it: both words differ, and both fragments fit an environment."""
    shared = [
        Counter(hole for words in dict.fromkeys(side) for _, hole in _holes(words)) for side in zip(*pairs, strict=True)
    ]
    environments: dict[tuple[Hole, Hole], dict[Fragment, None]] = defaultdict(dict)
    for pair in pairs:
        sides = (
            [each for each in _holes(words) if counts[each[1]] > 1] for words, counts in zip(pair, shared, strict=True)
        )
        for (source, before), (target, after) in product(*sides):
            environments[before, after][source, target] = None
    partners: dict[Fragment, dict[Fragment, None]] = defaultdict(dict)
    for fragments in map(list, environments.values()):
        for old in fragments:
            some = fragments if len(fragments) <= MAX_PARTNERS else draw.sample(fragments, MAX_PARTNERS)
            new = {fragment: None for fragment in some if fragment[0] != old[0] and fragment[1] != old[1]}
            if new:
                partners[old] |= new
    return {old: list(new) for old, new in partners.items()}


def _holes(words: Words) -> Iterator[tuple[str, Hole]]:
    """Yield each different word with the sentence that lacks it."""
    for word in dict.fromkeys(words):
        yield word, tuple(None if each == word else each for each in words)
