"""Show why a hypothesis is what it is: its score, the probability of each token and what the token attends to."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

from s2s_plugin.inference.datastore import Neighbor
from s2s_plugin.inference.translator import Hypothesis

TOKEN_WIDTH, SOURCE_WIDTH = 20, 12  # columns of a terminal at most
MAX_SOURCES = 3  # of a token
CONTEXT_WIDTH, MAX_NEIGHBORS = 48, 2
HEADING = f"    {'output token':{TOKEN_WIDTH}}  prob.  source tokens by attention"


def token_lines(hypothesis: Hypothesis, source_tokens: Sequence[str]) -> Iterator[str]:
    """Yield a line of at most 80 columns for each output token: its probability, and what it attends to most."""
    yield HEADING
    attention = hypothesis.attention or [[]] * len(hypothesis.target_tokens)
    for token, probability, weights in zip(
        hypothesis.target_tokens, hypothesis.token_probabilities, attention, strict=True
    ):
        strongest = sorted(zip(weights, source_tokens, strict=bool(weights)), key=lambda pair: -pair[0])[:MAX_SOURCES]
        sources = "  ".join(f"{_fit(source, SOURCE_WIDTH)} {weight:.2f}" for weight, source in strongest)
        padding = " " * (TOKEN_WIDTH - _width(_fit(token, TOKEN_WIDTH)))
        yield f"    {_fit(token, TOKEN_WIDTH)}{padding}  {probability:.2f}   {sources}"


def neighbor_lines(tokens: Sequence[str], neighbors: Sequence[Sequence[Neighbor]]) -> Iterator[str]:
    """Yield two lines of at most 80 columns for each neighbor of an output token: its target, and its source."""
    yield f"    {'output token':{TOKEN_WIDTH}}  share  nearest states: target [next token], source"
    for token, states in zip(tokens, neighbors, strict=True):
        label = _fit(token, TOKEN_WIDTH)
        for state in states:
            before = _fit(state.before[::-1], CONTEXT_WIDTH // 2)[::-1]  # its end
            context = _fit(f"{before} [{state.token}] {state.after}".strip(), CONTEXT_WIDTH)
            yield f"    {label}{' ' * (TOKEN_WIDTH - _width(label))}  {state.weight:.2f}   {context}"
            if state.source is not None:
                yield f"    {'':{TOKEN_WIDTH}}         {_fit(state.source, CONTEXT_WIDTH - 2)}".rstrip()
            label = ""


def _fit(text: str, width: int) -> str:
    """Cut text at a number of columns."""
    while _width(text) > width:
        text = text.removesuffix("…")[:-1] + "…"
    return text


def _width(text: str) -> int:
    """Return the columns that a terminal needs for text."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
