"""Confidence intervals and a paired significance test of scores, by bootstrap resampling of the items."""

from collections.abc import Iterator, Sequence

import numpy as np

from s2s_plugin.scoring.base import Scorer

RESAMPLES, SEED = 1000, 12345  # as in sacrebleu, with the same intervals
LEVEL = 95  # percent of the resamples in the interval
SIGNATURE = f"bs:{RESAMPLES}|seed:{SEED}"


def resamples(items: int) -> Iterator[np.ndarray]:
    """Yield the item indices of each resample, N of ``items`` = N with replacement; always the same."""
    generator = np.random.default_rng(SEED)
    return (generator.choice(items, size=items) for _ in range(RESAMPLES))


def resampled_scores(scorer: Scorer) -> np.ndarray:
    """Return the scores of the resamples; those of two systems on the same items are paired."""
    return np.array(scorer.resampled(resamples(len(scorer.pred))))


def interval(scores: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Return the range of resampled scores without the outer 2.5 % on each side."""
    ordered = np.sort(scores)
    cut = int(len(ordered) * (1 - LEVEL / 100) / 2)
    return float(ordered[cut]), float(ordered[len(ordered) - cut - 1])


def p_value(scores: np.ndarray, others: np.ndarray) -> float:
    """Return the probability of such a difference between two equally good systems (Koehn 2004), two-sided.

    Koehn's test counts the resamples in which the worse system is as good or better; either could have been the worse
    one, so the share counts twice. sacrebleu's ``--paired-bs`` counts it once, and reports p = 0.001 for equal outputs.
    ``scores`` and ``others`` are the two systems' on the same resamples.
    """
    reversed_order = min((scores <= others).sum(), (scores >= others).sum())
    return min(1.0, 2 * float(reversed_order + 1) / (len(scores) + 1))
