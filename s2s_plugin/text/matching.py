"""Texts that are alike: the same to a reader, or the nearest of many."""

from __future__ import annotations

import math
import unicodedata
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Sequence

import numpy as np


def match_key(text: str) -> str:
    """What two lines must share to count as the same: their letters, vowel signs and digits, casefolded."""
    folded = text.casefold()
    kept = (c if unicodedata.category(c)[0] in "LMN" else " " for c in folded)
    return " ".join("".join(kept).split()) or " ".join(folded.split())


def words(text: str) -> Counter[str]:
    """The words of a text, without case and punctuation."""
    return Counter(match_key(text).split())


def letters(text: str) -> Counter[str]:
    """The runs of one to three characters of a text, without case and punctuation; _ is the end of a word.

    Of languages that build long words they say more than words do.
    """
    line = f"_{'_'.join(match_key(text).split())}_"
    return Counter(line[start : start + size] for size in (1, 2, 3) for start in range(len(line) - size + 1))


class Neighbours:
    """Texts, of which the most similar one to another text is found.

    Similarity is the cosine of TF-IDF vectors (Salton & Buckley 1988): a feature weighs its count times
    ln((1 + N) / (1 + n)) + 1, where n of the N texts have it.

    Args:
        texts: N of them, at least one.
        features: of a text, with their counts: :func:`words` or :func:`letters`.
    """

    def __init__(self, texts: Sequence[str], features: Callable[[str], Counter[str]]):
        self.size, self.features = len(texts), features
        having = Counter(feature for text in texts for feature in features(text))
        self.weight = {feature: math.log((1 + len(texts)) / (1 + number)) + 1 for feature, number in having.items()}
        found = {feature: (array("i"), array("d")) for feature in having}
        for item, each in enumerate(map(features, texts)):
            norm = math.hypot(*(self.weight[feature] * number for feature, number in each.items()))
            for feature, number in each.items():
                items, shares = found[feature]
                items.append(item)
                shares.append(self.weight[feature] * number / norm)
        self.index = {feature: self._entry(*map(np.asarray, lists)) for feature, lists in found.items()}

    def _entry(self, items: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray | slice, np.ndarray]:
        """Where a feature is and what it counts there; everywhere, if many texts have it: that is quicker to add."""
        if len(items) < self.size / 8:
            return items, shares
        everywhere = np.zeros(self.size)
        everywhere[items] = shares
        return slice(None), everywhere

    def nearest(self, text: str, but: Collection[int] = ()) -> int:
        """The number of the most similar text, of equals the first; those in ``but`` are left aside."""
        cosine = np.zeros(self.size)  # times the norm of the text, which is the same for all
        for feature, number in self.features(text).items():
            if feature in self.index:
                items, shares = self.index[feature]
                cosine[items] += self.weight[feature] * number * shares
        cosine[list(but)] = -1
        return int(cosine.argmax())
