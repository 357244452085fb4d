"""How far chance may carry a score: intervals and a paired test by bootstrap resampling of the items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from s2s_plugin.scoring.base import Scorer

RESAMPLES, SEED = 1000, 12345  # as sacrebleu's, whose intervals these equal
LEVEL = 95  # percent of the resamples lie in the interval
SIGNATURE = f"bs:{RESAMPLES}|seed:{SEED}"


def draws(items: int) -> Iterator[np.ndarray]:
    """Item numbers of each resample, N of ``items`` = N with replacement; always the same."""
    generator = np.random.default_rng(SEED)
    return (generator.choice(items, size=items) for _ in range(RESAMPLES))


def resampled_scores(scorer: Scorer) -> np.ndarray:
    """Scores of the resamples. Those of two systems on the same items are paired."""
    return np.array(scorer.resampled(draws(len(scorer.pred))))


def interval(scores: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """The smallest and the largest of resampled scores when the outer ones are cut off, 2.5 % on each side."""
    ordered = np.sort(scores)
    cut = int(len(ordered) * (1 - LEVEL / 100) / 2)
    return float(ordered[cut]), float(ordered[len(ordered) - cut - 1])


def p_value(scores: np.ndarray, others: np.ndarray) -> float:
    """Probability of such a difference if two systems were equally good (Koehn 2004), two-sided.

    Koehn's test counts the resamples in which the worse system is as good or better; either could have been the worse
    one, so the share counts twice. sacrebleu's ``--paired-bs`` counts it once, and gives equal outputs a p of 0.001.

    Args:
        scores, others: resampled scores of the two systems, on the same resamples.
    """
    turned = min((scores <= others).sum(), (scores >= others).sum())
    return min(1.0, 2 * float(turned + 1) / (len(scores) + 1))
