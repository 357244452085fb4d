"""What is wrong with a single pair: sides that are empty, broken, copied or have invisible characters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rapidfuzz.distance import Levenshtein

from s2s_plugin.text.characters import character_name, dropped

COPY_SIMILARITY = 0.85  # 1 - changed words / words, from which one side is a copy of the other
COPY_LENGTH = 20  # letters of a copy; shorter ones are names, numbers, terms
COPY_WORDS = 4  # of one that is not exact
SHOWN_CHARACTERS = 3
REPLACEMENT = "\ufffd"  # what decoders write for bytes that they do not understand
ENCODINGS = ("latin-1", "cp1252")


def broken_encoding(text: str, ftfy: Any) -> str | None:
    """Return how a text with mojibake should read; None if it has none.

    ``ftfy``: the module, which also finds it in parts of a text; None: only texts that are broken as a whole.
    """
    if text.isascii():
        return None
    if ftfy is not None:
        fixed = ftfy.fix_encoding(text) if ftfy.is_bad(text) else text
        return fixed if fixed != text else None
    for encoding in ENCODINGS:
        try:
            return text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
    return None


def find_in_text(text: str, ftfy: Any) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with one side, as kind and detail."""
    if (fixed := broken_encoding(text, ftfy)) is not None:
        yield "mojibake", f"should read: {fixed}"
    elif REPLACEMENT in text:
        yield "mojibake", character_name(REPLACEMENT)
    if (not text.isascii() or not text.isprintable()) and (counts := dropped(text)):
        names = [f"{character_name(each)}: {count}" for each, count in counts.most_common(SHOWN_CHARACTERS)]
        yield "control", ", ".join(names)


def copy_kind(source_key: str, target_key: str) -> str | None:
    """Return whether one side of a pair is a copy of the other, by their keys: ``copy`` or ``same``, which is short."""
    is_long = len(source_key) >= COPY_LENGTH
    if source_key == target_key:
        return "copy" if is_long else "same"
    words = source_key.split()
    if not is_long or len(words) < COPY_WORDS:
        return None
    similarity = Levenshtein.normalized_similarity(words, target_key.split(), score_cutoff=COPY_SIMILARITY)
    return "copy" if similarity >= COPY_SIMILARITY else None
