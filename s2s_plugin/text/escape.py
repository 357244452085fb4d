"""Text in one line, and text without characters that mean something to SentencePiece or fairseq; both reversible.

A line break is written U+21B5, a tab U+21E5, any other such character as U+241B, its number in hex, and a semicolon.
These three signs are themselves written by number, so nothing is ambiguous.
"""

from __future__ import annotations

import re

NEWLINE, TAB, ESCAPE = "\u21b5", "\u21e5", "\u241b"
SIGNS = NEWLINE + TAB + ESCAPE
BY_SIGN = {"\n": NEWLINE, "\t": TAB}
TO_TEXT = {sign: character for character, sign in BY_SIGN.items()}

# What some tool takes for a line end (see str.splitlines), and NUL, which ends a text elsewhere.
BREAKS = re.compile(f"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029\0{SIGNS}]")
# Besides spaces, U+2581, which is SentencePiece's space, and what is no character by itself.
SPECIAL = re.compile(f"[^\\S ]|[\0-\x1f\x7f-\x9f\u2581\ud800-\udfff{SIGNS}]")
WRITTEN = re.compile(f"{NEWLINE}|{TAB}|{ESCAPE}([0-9a-f]{{1,6}});")


def to_line(text: str) -> str:
    """A text of several lines as one, for files with a text per line."""
    return BREAKS.sub(_write, text)


def from_line(line: str) -> str:
    """The text that :func:`to_line` made a line of; other lines are texts of one line."""
    return WRITTEN.sub(_read, line)


def escape(text: str) -> str:
    """A text whose only white space is the space, and which holds no sign of SentencePiece's."""
    return SPECIAL.sub(_write, text)


def unescape(text: str) -> str:
    """The text that :func:`escape` was given."""
    return WRITTEN.sub(_read, text)


def _write(found: re.Match) -> str:
    return BY_SIGN.get(found[0]) or f"{ESCAPE}{ord(found[0]):x};"


def _read(found: re.Match) -> str:
    if found[0] in TO_TEXT:
        return TO_TEXT[found[0]]
    number = int(found[1], 16)
    return chr(number) if number <= 0x10FFFF else found[0]
