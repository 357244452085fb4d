"""Base classes of the scorers: several references per item, a score with its signature."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from copy import copy
from statistics import fmean
from typing import Self

import numpy as np
from fairseq.scoring import BaseScorer

from s2s_plugin.errors import UserError


class Scorer(BaseScorer):
    """A metric of hypotheses ``pred`` and the list of references ``ref`` of each; text is detokenized.

    Attributes:
        label: the metric's usual name.
        higher_is_better: False for error rates; None if neither is better.
        duplicates_bias: duplicate items change the score by themselves, so that resamples are meaningless.
    """

    label = ""
    higher_is_better: bool | None = True
    duplicates_bias = False

    def add_string(self, ref: str | Sequence[str], pred: str) -> None:
        """Add an item: one or several references, and the hypothesis."""
        references = [ref] if isinstance(ref, str) else list(ref)
        if not references:
            raise UserError(f"item {len(self.ref) + 1} has no reference; add one or drop the item")
        super().add_string(references, pred)

    def with_items(self, references: Sequence[list[str]], hypotheses: Sequence[str]) -> Self:
        """Return the same scorer with other items."""
        other = copy(self)
        other.ref, other.pred = references, hypotheses
        return other

    @abstractmethod
    def score(self) -> float:
        """Return the score of all items, in percent."""

    @abstractmethod
    def settings(self) -> str:
        """Describe how the score is computed, without the number of references."""

    def signature(self) -> str:
        """Return the settings and the number of references per item, ``var`` if it varies, as sacrebleu does."""
        counts = {len(references) for references in self.ref}
        return f"{self.settings()}|refs:{counts.pop() if len(counts) == 1 else 'var'}"

    def evaluate(self) -> tuple[float, str]:
        """Return the score of all items, in percent, and the signature of its computation."""
        return self.score(), self.signature()

    def result_string(self) -> str:
        value, signature = self.evaluate()
        return f"{self.label} = {value:.2f} {signature}"

    def resampled(self, resamples: Iterable[np.ndarray]) -> list[float]:
        """Return the score of each resample, an array of item indices; subclasses need not score each anew."""
        items = list(zip(self.ref, self.pred, strict=True))
        return [self.with_items(*zip(*(items[i] for i in sample), strict=True)).score() for sample in resamples]


class AdditiveScorer(Scorer):
    """A score of integers summed over the items, so that the parts of a corpus may be scored apart."""

    @abstractmethod
    def sums(self) -> list[int]:
        """Return the sums over all items."""

    @abstractmethod
    def score_of(self, sums: Sequence[int]) -> float:
        """Return the score, in percent, of sums over one or several parts."""


class MeanScorer(AdditiveScorer):
    """A score that is the mean of the items' scores."""

    @abstractmethod
    def item_scores(self) -> list[float]:
        """Return the score of each item, in percent."""

    def score(self) -> float:
        return fmean(self.item_scores())

    def resampled(self, resamples: Iterable[np.ndarray]) -> list[float]:
        scores = np.array(self.item_scores())
        return [float(scores[sample].mean()) for sample in resamples]

    def sums(self) -> list[int]:
        """Return the sum of the scores in ten-thousandths of a percent, and the number of items."""
        return [round(10_000 * sum(self.item_scores())), len(self.pred)]

    def score_of(self, sums: Sequence[int]) -> float:
        return sums[0] / 10_000 / max(sums[1], 1)


def ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """List the n-grams of a sequence of words, in order."""
    return [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]
