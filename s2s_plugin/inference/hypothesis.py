"""What a search returns for one source, as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Hypothesis:
    """One output."""

    text: str = ""  # detokenized
    score: float = 0.0  # length-normalized log-probability, natural logarithm
    confidence: float = 0.0  # geometric mean of the token probabilities, including </s>; 0 for an empty source
    target_tokens: Sequence[str] = ()  # including </s>
    token_probabilities: Sequence[float] = ()
    attention: list[list[float]] | None = None  # T x S weights, if the search keeps them
    alignment: Sequence = ()  # source position of each token, if unknown words are replaced
