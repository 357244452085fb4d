"""Normalization of text: for the model, for comparison, and for finding duplicates."""

from __future__ import annotations

import re
import unicodedata

SPACE = "\u2581"  # SentencePiece's mark of a space; in raw text it would be decoded as a space
JOINERS = "\u200c\u200d"  # format characters with a meaning inside words (Persian, Indic scripts, emoji)
TAG = re.compile(r"(<[^<>\s]+>)")


def normalize(text: str, jamo: bool = False) -> str:
    """Normalize one line of text for the model: to NFC, without invisible format characters.

    Control characters, U+2581 and any kind of white space become one space. ``jamo`` decomposes Hangul syllables into
    letters (NFD), so that 67 letters spell every syllable.
    """
    text = unicodedata.normalize("NFC", text)
    kept = []
    for character in text:
        category = unicodedata.category(character)
        if category in ("Cc", "Zs", "Zl", "Zp") or character == SPACE:
            kept.append(" ")
        elif category not in ("Cf", "Cs", "Cn") or character in JOINERS:
            kept.append(character)
    text = " ".join("".join(kept).split())
    # Compose again: a removed character may have separated a letter from its accent.
    return unicodedata.normalize("NFD" if jamo else "NFC", text)


def strip_case_and_punctuation(text: str) -> str:
    """Lower the case and remove punctuation, except apostrophes inside words and tags such as <turn>.

    A text, or a part between two tags, that is all punctuation is kept.
    """
    parts = TAG.split(text)
    parts[::2] = (_strip(part) or part.strip() for part in parts[::2])
    return " ".join(part for part in parts if part)


def _strip(text: str) -> str:
    kept = []
    for previous, character, following in zip(f" {text}", text, f"{text[1:]} ", strict=False):
        inside = character in "'\u2019" and previous.isalpha() and following.isalpha()
        letter = unicodedata.category(character)[0] in "LMN" or character in JOINERS
        kept.append("'" if inside else character.lower() if letter else " ")
    return " ".join("".join(kept).split())


def match_key(text: str) -> str:
    """Return what two equal lines share: letters, vowel signs and digits, casefolded."""
    folded = text.casefold()
    kept = (c if unicodedata.category(c)[0] in "LMN" else " " for c in folded)
    return " ".join("".join(kept).split()) or " ".join(folded.split())
