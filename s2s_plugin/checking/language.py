"""The script and the language of a text."""

from __future__ import annotations

import functools
import unicodedata
from collections import Counter
from typing import Any

MIN_LETTERS = 8  # of a text whose script counts
SCRIPT_SHARE = 0.8  # of its letters
MIN_TEXT = 20  # characters of a text whose language counts
ENOUGH = 100  # characters that are looked at
CONFIDENCE = 0.9  # of the identification
# Names of characters begin with the name of their script; these are written together in one language.
TOGETHER = dict.fromkeys(("CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "KATAKANA-HIRAGANA"), "Han and Kana")
NO_SCRIPT = {"FULLWIDTH", "HALFWIDTH", "MODIFIER", "MATHEMATICAL", "MICRO", "FEMININE", "MASCULINE", "SUPERSCRIPT"}
# What an identifier of short texts takes for one another: languages, their variants and closest relatives.
VARIANTS = {"pcm": "en", "lb": "de", "nb": "no", "nn": "no", "da": "no", "bs": "hr", "sr": "hr", "sh": "hr", "ms": "id",
            "gl": "pt", "ext": "es", "sk": "cs", "wuu": "zh", "yue": "zh", "arz": "ar", "ary": "ar", "af": "nl",
            "gcf": "fr", "gcr": "fr", "oc": "ca", "uzs": "uz", "tk": "tr", "az": "tr"}  # fmt: skip
NO_LANGUAGE = "zxx"


@functools.cache
def script_of_letter(letter: str) -> str | None:
    """Return the script of a letter, None for any other character."""
    if not letter.isalpha():
        return None
    first = unicodedata.name(letter, "").partition(" ")[0]
    if not first or first in NO_SCRIPT:
        return None
    return TOGETHER.get(first, first.capitalize())


def script_of(text: str) -> str | None:
    """Return the script of most letters of a text; None if there are too few, or if scripts are mixed."""
    if text.isascii():
        counts = Counter({"Latin": sum(map(str.isalpha, text))})
    else:
        counts = Counter(script for letter in text if (script := script_of_letter(letter)) is not None)
    [(script, count)] = counts.most_common(1) or [("", 0)]
    return script if count >= MIN_LETTERS and count >= SCRIPT_SHARE * counts.total() else None


@functools.cache  # takes half a second
def load_identifier() -> Any:
    """Return py3langid's model.

    Raises:
        ImportError: it is not installed.
    """
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def language_of(text: str, identifier: Any) -> str | None:
    """Return the code of a text's language, close variants as one; None if the text is short or it is not sure."""
    if len(text) < MIN_TEXT:
        return None
    code, probability = identifier.classify(text[:ENOUGH])
    return VARIANTS.get(code, code) if probability >= CONFIDENCE and code != NO_LANGUAGE else None
