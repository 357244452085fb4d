"""Source factors: annotations of words, such as part of speech or case (Sennrich & Haddow 2016).

A line is written ``the|DET|lower house|NOUN|lower``; its tokens are ``▁the pos=DET case=lower ...``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from s2s_plugin.errors import UserError

SEPARATOR = "|"
MIN_COUNT = 2  # a value that occurs less often in training is unknown to the model, as new ones are


def split_factors(text: str, names: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Split a line into its words and the factor values of each; raise UserError if a word lacks one."""
    words, values = [], []
    for item in text.split():
        word, *factors = item.rsplit(SEPARATOR, len(names)) if names else [item]
        if len(factors) < len(names) or not word or not all(factors):
            raise UserError(f"'{item}' lacks a factor; write each word as {SEPARATOR.join(('word', *names))}")
        words.append(word)
        values.append(factors)
    return words, values


def factor_values(words: Iterable[Sequence[str]], names: Sequence[str]) -> dict[str, list[str]]:
    """Collect the values of each factor, sorted, from the values of each word."""
    counts = Counter(pair for values in words for pair in enumerate(values))
    return {
        name: sorted(value for (number, value), count in counts.items() if number == i and count >= MIN_COUNT)
        for i, name in enumerate(names)
    }


def factor_token(name: str, value: str) -> str:
    """Return the dictionary entry of a factor's value."""
    return f"{name}={value}"
