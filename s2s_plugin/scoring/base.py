"""What all our scorers share: several references of an item, a score that comes with its signature."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from copy import copy
from statistics import fmean
from typing import Self

import numpy as np
from fairseq.scoring import BaseScorer

from s2s_plugin.errors import UserError


class Scorer(BaseScorer):
    """Collects hypotheses ``pred`` and the references ``ref`` of each; text is detokenised.

    Attributes:
        label: the metric's usual name.
        higher_is_better: False for error rates; None where neither is.
        repeats_count: an item that comes twice changes the score by itself, so that resamples tell nothing of it.
    """

    label = ""
    higher_is_better: bool | None = True
    repeats_count = False

    def add_string(self, ref: str | Sequence[str], pred: str) -> None:
        """Add an item: one reference or several, and the hypothesis.

        Raises:
            UserError: several references are asked for, and there is none.
        """
        references = [ref] if isinstance(ref, str) else list(ref)
        if not references:
            raise UserError(f"item {len(self.ref) + 1} has no reference: give it one, or leave it out")
        super().add_string(references, pred)

    @abstractmethod
    def evaluate(self) -> tuple[float, str]:
        """Score of all items, in percent, and the signature that says how it was computed."""

    def of(self, references: list[list[str]], hypotheses: list[str]) -> Self:
        """The same scorer of other items."""
        other = copy(self)
        other.ref, other.pred = references, hypotheses
        return other

    def resampled(self, draws: Iterable[np.ndarray]) -> list[float]:
        """The score of each other selection of the items, given by their numbers.

        This one scores each anew; where a score is made of sums over the items, a scorer does better.
        """
        selections = (self.of([self.ref[i] for i in numbers], [self.pred[i] for i in numbers]) for numbers in draws)
        return [selection.score() for selection in selections]

    def score(self) -> float:
        return self.evaluate()[0]

    def result_string(self) -> str:
        value, signature = self.evaluate()
        return f"{self.label} = {value:.2f} {signature}"

    def references_per_item(self) -> str:
        """``1`` (or however many), ``var`` where items differ, as in sacrebleu's signatures."""
        counts = {len(references) for references in self.ref}
        return str(counts.pop()) if len(counts) == 1 else "var"


class MeanScorer(Scorer):
    """A score that is the mean of the items' own."""

    @abstractmethod
    def of_items(self) -> list[float]:
        """The score of each item."""

    @abstractmethod
    def signature(self) -> str:
        """How it was computed."""

    def evaluate(self) -> tuple[float, str]:
        return fmean(self.of_items()), self.signature()

    def resampled(self, draws: Iterable[np.ndarray]) -> list[float]:
        scores = np.array(self.of_items())
        return [float(scores[numbers].mean()) for numbers in draws]


def ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """All ``n`` neighbouring words, in their order."""
    return [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]
