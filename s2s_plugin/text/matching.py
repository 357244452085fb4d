"""Nearest texts by TF-IDF."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from s2s_plugin.text.normalize import match_key


def words(text: str) -> list[str]:
    """Return the words of a text, without case and punctuation."""
    return match_key(text).split()


def char_ngrams(text: str) -> list[str]:
    """Return the n-grams of one to three characters of a text, without case and punctuation; _ ends a word."""
    line = f"_{'_'.join(words(text))}_"
    return [line[start : start + size] for size in (1, 2, 3) for start in range(len(line) - size + 1)]


class TfidfIndex:
    """Texts, indexed for the most similar one to another text by the cosine of TF-IDF vectors (scikit-learn's).

    ``features`` is :func:`words` or :func:`char_ngrams`.
    """

    def __init__(self, texts: Sequence[str], features: Callable[[str], list[str]]):
        from sklearn.feature_extraction.text import TfidfVectorizer  # takes more than a second to import

        self.vectorizer = TfidfVectorizer(analyzer=features)
        self.vectors = self.vectorizer.fit_transform(texts).T.tocsr()

    def nearest(self, text: str, exclude: Collection[int] = ()) -> int:
        """Return the index of the most similar text, the first among equals, except those in ``exclude``."""
        cosine = self._cosine(text)
        cosine[list(exclude)] = -1
        return int(cosine.argmax())

    def ranked(self, text: str, count: int) -> list[tuple[int, float]]:
        """Return the indices of the most similar texts, each with its cosine, best first."""
        cosine = self._cosine(text)
        return [(int(index), float(cosine[index])) for index in (-cosine).argsort(kind="stable")[:count]]

    def _cosine(self, text: str) -> np.ndarray:
        return (self.vectorizer.transform([text]) @ self.vectors).toarray()[0]
