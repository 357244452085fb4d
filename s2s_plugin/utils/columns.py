"""Text in the columns of a terminal: East Asian characters take two, combining marks and joiners none."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

INVISIBLE = {"Mn", "Me", "Cf"}  # categories of marks and format controls
JAMO = re.compile("[\u1160-\u11ff\ud7b0-\ud7ff]")  # vowels and finals, which join the consonant before them


def width(text: str) -> int:
    """Return the columns that a terminal needs for text."""
    return sum(map(_columns, text))


def fit(text: str, columns: int) -> str:
    """Cut text at a number of columns; an ellipsis marks the cut."""
    while width(text) > columns:
        text = text.removesuffix("…")[:-1] + "…"
    return text


def pad(text: str, columns: int) -> str:
    """Cut or pad text to a number of columns."""
    text = fit(text, columns)
    return text + " " * (columns - width(text))


def wrap(text: str, columns: int, indent: str = "") -> Iterator[str]:
    """Yield lines of at most so many columns, broken at spaces or between wide characters; later ones are indented."""
    line, room = "", columns
    for piece in _pieces(" ".join(text.split()), columns - width(indent)):
        if line.strip() and width(line + piece.rstrip()) > room:
            yield line.rstrip()
            line, piece = indent, piece.lstrip()
        line += piece
    yield line.rstrip()


def _columns(character: str) -> int:
    if unicodedata.category(character) in INVISIBLE or JAMO.match(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _pieces(text: str, columns: int) -> Iterator[str]:
    """Yield the parts between which a line may end: words with the space before them, wide characters, cut words."""
    for word in re.findall(r"\s*\S+", text):
        piece = ""
        for character in word:
            wide = _columns(character) == 2 and piece.strip()
            if wide or width(piece + character) > columns:
                yield piece
                piece = ""
            piece += character
        yield piece
