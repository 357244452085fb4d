"""Write repeated words once, with how often: a text with loops becomes short, and can be restored.

``L W L W L W L W`` is ``L W ⟲2 ×2 ×2``: the last two words, 2 x 2 times in all. Counts are in prime factors, so that a
loop around a loop only adds to its end: three times these words is ``L W ⟲2 ×2 ×2 ×3``. Such a code of a target is
called a reversible intermediate representation (Herzig et al. 2021, arXiv:2104.07478).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

LOOP, TIMES = "\u27f2", "\u00d7"
MAX_WORDS = 8  # of a loop
MAX_UNFOLDED = 10_000  # words of a loop; counts that a model makes up may have any size
MARK = re.compile(rf"[{LOOP}{TIMES}]\d+")
MARKS = re.compile(rf"(?<!\S){LOOP}(\d+)((?: {TIMES}\d+)+)(?!\S)")


def fold(text: str) -> str:
    """Return the words of ``text`` with as few words and marks as possible; of several such, with the shortest loops.

    The marks cost two words, whatever the count.
    """
    words = text.split()
    costs = [0] * (len(words) + 1)  # of the words from each on
    loops = [(1, 1)] * len(words)  # words and count
    for start in reversed(range(len(words))):
        costs[start] = 1 + costs[start + 1]
        for size in range(1, MAX_WORDS + 1):
            for count in _counts(words, start, size):
                cost = size + 2 + costs[start + size * count]
                if cost < costs[start]:
                    costs[start], loops[start] = cost, (size, count)
    folded, start = [], 0
    while start < len(words):
        size, count = loops[start]
        folded += words[start : start + size]
        if count > 1:
            folded += [f"{LOOP}{size}", *(f"{TIMES}{factor}" for factor in _prime_factors(count))]
        start += size * count
    return " ".join(folded)


def unfold(text: str) -> str:
    """Undo :func:`fold`; marks that make no sense are left out."""
    words: list[str] = []
    position = 0
    for match in MARKS.finditer(text):
        words += text[position : match.start()].split()
        size, count = int(match[1]), math.prod(int(factor[1:]) for factor in match[2].split())
        if 0 < size <= len(words) and 0 < size * count <= MAX_UNFOLDED:
            words += words[-size:] * (count - 1)
        position = match.end()
    words += text[position:].split()
    return " ".join(word for word in words if not MARK.fullmatch(word))


def _counts(words: Sequence[str], start: int, size: int) -> Iterator[int]:
    """Yield 2, 3, ... as long as the ``size`` words at ``start`` occur so often in a row."""
    loop, count = words[start : start + size], 1
    while len(loop) == size and words[start + count * size : start + (count + 1) * size] == loop:
        count += 1
        yield count


def _prime_factors(number: int) -> Iterator[int]:
    """Yield the prime factors of a number, smallest first."""
    factor = 2
    while number > 1:
        while number % factor == 0:
            yield factor
            number //= factor
        factor += 1
