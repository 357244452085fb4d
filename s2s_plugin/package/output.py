"""What a model has made of an input, for Python."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from s2s_plugin.inference.hypothesis import Hypothesis


@dataclass(frozen=True)
class Output:
    """One output of a model, with T tokens for S steps of the source.

    Attributes:
        text: what it says.
        score: length-normalized log-probability, natural logarithm.
        confidence: geometric mean of the token probabilities, in [0, 1].
        tokens: T subwords; the last one is ``</s>``.
        probabilities: of the T tokens; with a CTC head in the search, the weighted geometric mean of the decoder's and
            the head's.
        source_tokens: S subwords of a text; empty for a signal.
        attention: T x S weights, with ``attention=True`` and a model that attends.
    """

    text: str
    score: float
    confidence: float
    tokens: list[str]
    probabilities: np.ndarray
    source_tokens: list[str]
    attention: np.ndarray | None = None

    @property
    def alignment(self) -> list[int] | None:
        """The source step that each token attends to most."""
        return None if self.attention is None else self.attention.argmax(1).tolist()

    @classmethod
    def of(cls, hypothesis: Hypothesis, source: list[str]) -> Output:
        """Return a hypothesis of a source of these tokens."""
        attention = None if hypothesis.attention is None else np.array(hypothesis.attention, dtype=np.float32)
        return cls(
            hypothesis.text,
            hypothesis.score,
            hypothesis.confidence,
            list(hypothesis.target_tokens),
            np.array(hypothesis.token_probabilities, dtype=np.float32),
            source,
            attention,
        )
