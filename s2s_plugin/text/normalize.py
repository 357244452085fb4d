"""Normalization of text: for the model, for comparison, and for finding duplicates."""

from __future__ import annotations

import re
import unicodedata

from s2s_plugin.text.characters import drop_meaningless

SPACE = "\u2581"  # SentencePiece's mark of a space
OTHER_LETTERS = ("Co", "Cn")  # categories of private use, and of characters that are newer than Python's Unicode
ASCII_OTHERS = re.compile("[^a-z0-9]+")  # no letters or digits
TAG = re.compile(r"(<[^<>\s]+>)")


def normalize(text: str, jamo: bool = False) -> str:
    """Normalize one line of text for the model, to NFC with single spaces.

    Any kind of white space becomes one space; characters without meaning are dropped (see
    :mod:`s2s_plugin.text.characters`). ``jamo`` decomposes Hangul syllables into letters (NFD), so that 67 letters
    spell every syllable.
    """
    text = " ".join(drop_meaningless(unicodedata.normalize("NFC", text)).split())
    # Compose again: a dropped character may have separated a letter from its accent.
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
        category = unicodedata.category(character)
        letter = category[0] in "LMN" or category in (*OTHER_LETTERS, "Cf")
        kept.append("'" if inside else character.lower() if letter else " ")
    return " ".join("".join(kept).split())


def match_key(text: str) -> str:
    """Return what two equal lines share: letters, vowel signs and digits, casefolded."""
    folded = text.casefold()
    if folded.isascii():  # the same, faster
        return ASCII_OTHERS.sub(" ", folded).strip() or " ".join(folded.split())
    kept = (c if (kind := unicodedata.category(c))[0] in "LMN" or kind in OTHER_LETTERS else " " for c in folded)
    return " ".join("".join(kept).split()) or " ".join(folded.split())
