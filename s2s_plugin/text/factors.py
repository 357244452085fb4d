"""Source factors: what is known of a word besides, such as its part of speech or its case (Sennrich & Haddow 2016).

A line of text with factors is written ``the|DET|lower house|NOUN|lower``: each word with one value of each factor.
fairseq sees one sequence of symbols, each subword followed by its word's factors, ``▁the pos=DET case=lower ...``; the
text encoder adds their embeddings up, and its memory has one step for each subword.
"""

from __future__ import annotations

from collections.abc import Sequence

from s2s_plugin.errors import UserError

SEPARATOR = "|"


def split_factors(text: str, names: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """The words of a line with factors, and each one's values.

    Args:
        names: of the factors; where there are none, the text is just words.

    Raises:
        UserError: a word without its factors.
    """
    words, values = [], []
    for item in text.split():
        word, *found = item.rsplit(SEPARATOR, len(names)) if names else [item]
        if len(found) < len(names) or not word or not all(found):
            raise UserError(f"'{item}' lacks a factor: each word is written {SEPARATOR.join(('word', *names))}")
        words.append(word)
        values.append(found)
    return words, values


def factor_values(lines: Sequence[str], names: Sequence[str]) -> dict[str, list[str]]:
    """The values of each factor in the lines, sorted."""
    found: list[set[str]] = [set() for _ in names]
    for line in lines:
        for values in split_factors(line, names)[1]:
            for seen, value in zip(found, values, strict=True):
                seen.add(value)
    return {name: sorted(values) for name, values in zip(names, found, strict=True)}


def factor_token(name: str, value: str) -> str:
    """As the dictionary has it."""
    return f"{name}={value}"
