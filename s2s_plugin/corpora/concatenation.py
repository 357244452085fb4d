"""Longer training pairs, by joining those that there are."""

from __future__ import annotations

import random
from collections.abc import Sequence

from s2s_plugin.corpora.cleaning import Pair

SEED = 1


def concatenated(pairs: Sequence[Pair], most: int) -> list[Pair]:
    """Return as many new pairs, each joined from 2 to ``most`` different ones (Nguyen et al. 2021, arXiv:2109.07276).

    Each of the pairs begins a new one, which goes on with others, drawn at random. Less than ``most`` pairs give none.
    """
    draw = random.Random(SEED)
    joined = []
    for first, pair in enumerate(pairs if len(pairs) >= most else []):
        others = draw.sample(range(len(pairs) - 1), draw.randint(1, most - 1))
        parts = [pair, *(pairs[(first + 1 + other) % len(pairs)] for other in others)]
        source, target = (" ".join(side) for side in zip(*parts, strict=True))
        joined.append((source, target))
    return joined
