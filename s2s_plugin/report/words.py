"""Split text into words for counting and comparing, in any script."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

# Han, kana and the scripts of South-East Asia are written without spaces: there each character is a
# word. Elsewhere a word is a run of letters, digits and marks with inner apostrophes and hyphens; other characters
# are tokens of their own.
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
UNSPACED += "\U00020000-\U0003ffff"
LETTER = f"(?:(?![{UNSPACED}])[^\\W_]|[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u0963\u0966-\u0dff])"
MAX_COUNTED = 200_000  # lines of a training text: some seconds
TOKEN = re.compile(rf"\s+|[{UNSPACED}]|{LETTER}+(?:['’\-]{LETTER}+)*|.", re.DOTALL)


def split(text: str) -> list[str]:
    """Split ``text`` into words, signs and spaces, which joined give ``text`` again."""
    return TOKEN.findall(text)


def count_tokens(text: str) -> int:
    """Count words and signs."""
    return sum(not token.isspace() for token in split(text))


def words_of(text: str) -> list[str]:
    """List the words; signs and spaces are none."""
    return [token for token in split(text) if any(char.isalnum() for char in token)]


def count_words(text: str) -> int:
    """Count words."""
    return len(words_of(text))


def length_ratio(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return tokens of the hypotheses per token of the references, of several the closest in length."""
    total, expected = 0, 0
    for hypothesis, texts in zip(hypotheses, references, strict=True):
        length = count_tokens(hypothesis)
        total += length
        expected += min(map(count_tokens, texts), key=lambda each: abs(each - length))
    return total / max(1, expected)


def line_counts(path: Path, words: Iterable[str]) -> dict[str, int]:
    """Count the lines of a text that contain each word, of the first :data:`MAX_COUNTED` lines."""
    counts = Counter(dict.fromkeys(words, 0))
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in islice(lines, MAX_COUNTED):
            counts.update(counts.keys() & set(split(line)))
    return counts
