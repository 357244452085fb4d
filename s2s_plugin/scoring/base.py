"""What all our scorers share: several references of an item, a score that comes with its signature."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from copy import copy

import numpy as np
from fairseq.scoring import BaseScorer

from s2s_plugin.errors import UserError


class Scorer(BaseScorer):
    """Collects hypotheses ``pred`` and the references ``ref`` of each; text is detokenised.

    Attributes:
        label: the metric's usual name.
        higher_is_better: False for error rates.
    """

    label = ""
    higher_is_better = True

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

    def resampled(self, draws: Iterable[np.ndarray]) -> list[float]:
        """The score of each other selection of the items, given by their numbers.

        This one scores each anew; where a score is made of sums over the items, a scorer does better.
        """
        scores = []
        for numbers in draws:
            selection = copy(self)
            selection.ref, selection.pred = ([items[i] for i in numbers] for items in (self.ref, self.pred))
            scores.append(selection.score())
        return scores

    def score(self) -> float:
        return self.evaluate()[0]

    def result_string(self) -> str:
        value, signature = self.evaluate()
        return f"{self.label} = {value:.2f} {signature}"

    def references_per_item(self) -> str:
        """``1`` (or however many), ``var`` where items differ, as in sacrebleu's signatures."""
        counts = {len(references) for references in self.ref}
        return str(counts.pop()) if len(counts) == 1 else "var"
