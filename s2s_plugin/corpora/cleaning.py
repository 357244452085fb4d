"""Clean text, and judge whether a pair is worth keeping."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from s2s_plugin.text.normalize import match_key, normalize

Pair = tuple[str, str]  # one line of text per side: source, target
SENTENCE_BREAK = re.compile(r"(?<=[^.\s][.!?]) +(?=[A-ZÄÖÜ\uac00-\ud7a3\"'])")
LETTER = re.compile(r"[^\W\d_]")
MAX_LETTERS_PER_SECOND = 25.0  # that a voice can read
PLAIN_QUOTES = str.maketrans(dict.fromkeys("’‘‚‛`´", "'") | dict.fromkeys("“”„‟«»", '"'))


def clean_text(text: str, plain_quotes: bool = True) -> str:
    """Return one line in NFC, without characters that mean nothing, with single spaces between words.

    ``plain_quotes``: replace typographic quotes and apostrophes by ``"`` and ``'``.
    """
    text = normalize(text)
    return text.translate(PLAIN_QUOTES) if plain_quotes else text


def clean_pairs(pairs: Iterable[Pair], plain_quotes: bool = True) -> list[Pair]:
    """Return the pairs with cleaned sides, without those that have an empty side."""
    cleaned = ((clean_text(src, plain_quotes), clean_text(tgt, plain_quotes)) for src, tgt in pairs)
    return [(src, tgt) for src, tgt in cleaned if src and tgt]


def split_alike(pair: Pair, split: Callable[[str], list[str]]) -> list[Pair]:
    """Return both sides in parts, those without text left out; whole if one has more parts than the other."""
    source, target = ([part for part in split(side) if part.strip()] for side in pair)
    return list(zip(source, target, strict=True)) if len(source) == len(target) else [pair]


def word_count(text: str) -> int:
    """Return the number of words, separated by spaces."""
    return len(text.split())


def has_length(pair: Pair, min_words: int, max_words: int, max_ratio: float) -> bool:
    """Return whether both sides have ``min_words`` to ``max_words`` words, their ratio being at most ``max_ratio``."""
    short, long = sorted(map(word_count, pair))
    return min_words <= short and long <= max_words and long <= max_ratio * max(short, 1)


def is_speakable(text: str, seconds: float) -> bool:
    """Return whether a voice can read the text in this time; if not, the recording says less than the text."""
    return len(match_key(text).replace(" ", "")) <= MAX_LETTERS_PER_SECOND * seconds
