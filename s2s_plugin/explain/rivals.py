"""The other hypotheses of the beam, and where they part from an output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from s2s_plugin.inference.hypothesis import Hypothesis


class Rival(NamedTuple):
    """A hypothesis that differs from an output at position ``place``, from 0."""

    output: str
    score: float  # as the search computes it, natural logarithm
    place: int
    before: str  # the token before that position; empty at the beginning
    token: str  # there
    probability: float
    own_token: str  # of the output there
    own_probability: float

    def where(self) -> str:
        """Return where they part, in words."""
        after = f'after "{self.before}"' if self.before else "at the beginning"
        return f"{after}: {self.token} {self.probability:.2f}, not {self.own_token} {self.own_probability:.2f}"


def find_rivals(tokens: Sequence[str], probabilities: Sequence[float], beam: Sequence[Hypothesis]) -> list[Rival]:
    """Return the hypotheses of a beam that differ from an output, T tokens with </s>, best first."""
    rivals = []
    for hypothesis in beam:
        others = hypothesis.target_tokens
        place = next((n for n, (own, other) in enumerate(zip(tokens, others, strict=False)) if own != other), None)
        if place is None:  # </s> ends both
            continue
        rivals.append(
            Rival(
                output=hypothesis.text,
                score=round(hypothesis.score, 4),
                place=place,
                before=tokens[place - 1] if place else "",
                token=others[place],
                probability=round(hypothesis.token_probabilities[place], 4),
                own_token=tokens[place],
                own_probability=round(probabilities[place], 4),
            )
        )
    return rivals
