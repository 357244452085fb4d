"""Show tokens: of a hypothesis, with probabilities and what they attend to; of a source, those that are unknown."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

from s2s_plugin.inference.datastore import Neighbor
from s2s_plugin.inference.hypothesis import Hypothesis
from s2s_plugin.inference.translator import Translator
from s2s_plugin.text.literals import reveal
from s2s_plugin.utils.columns import fit, pad

TOKEN_WIDTH, SOURCE_WIDTH = 20, 12  # columns of a terminal at most
MAX_SOURCES = 3  # of a token
CONTEXT_WIDTH, MAX_NEIGHBORS = 48, 2
HEADING = f"    {'output token':{TOKEN_WIDTH}}  prob.  source tokens by attention"


def token_lines(hypothesis: Hypothesis, source_tokens: Sequence[str]) -> Iterator[str]:
    """Yield a line of at most 80 columns for each output token: its probability, and what it attends to most."""
    yield HEADING if hypothesis.attention else HEADING.partition("  source")[0]
    attention = hypothesis.attention or [[]] * len(hypothesis.target_tokens)
    for token, probability, weights in zip(
        hypothesis.target_tokens, hypothesis.token_probabilities, attention, strict=True
    ):
        strongest = sorted(zip(weights, source_tokens, strict=bool(weights)), key=lambda pair: -pair[0])[:MAX_SOURCES]
        sources = "  ".join(f"{fit(source, SOURCE_WIDTH)} {weight:.2f}" for weight, source in strongest)
        yield f"    {pad(token, TOKEN_WIDTH)}  {probability:.2f}   {sources}".rstrip()


def neighbor_lines(tokens: Sequence[str], neighbors: Sequence[Sequence[Neighbor]]) -> Iterator[str]:
    """Yield two lines of at most 80 columns for each neighbor of an output token: its target, and its source."""
    yield f"    {'output token':{TOKEN_WIDTH}}  share  nearest states: target [next token], source"
    for token, states in zip(tokens, neighbors, strict=True):
        label = token
        for state in states:
            before = fit(state.before[::-1], CONTEXT_WIDTH // 2)[::-1]  # its end
            context = fit(f"{before} [{state.token}] {state.after}".strip(), CONTEXT_WIDTH)
            yield f"    {pad(label, TOKEN_WIDTH)}  {state.weight:.2f}   {context}"
            if state.source is not None:
                yield f"    {'':{TOKEN_WIDTH}}         {fit(state.source, CONTEXT_WIDTH - 2)}".rstrip()
            label = ""


def unknown_tokens(translator: Translator, line: str) -> list[str]:
    """Return the letters of a line, or the words, that the source vocabulary lacks and no copy slot stands for."""
    text = line.partition("\t")[0] if translator.constrained else line
    task = translator.task
    if task.codec is None:
        return [word for word in dict.fromkeys(text.split()) if word not in task.source_dictionary]
    words = [reveal(word) for word in task.codec.source.unknown(text)[task.codec.copy_slots :]]
    if task.codec.source.whole_words:
        return words
    return [f"\u25cc{mark}" if unicodedata.combining(mark) else mark for mark in dict.fromkeys("".join(words))]
