"""Reversible escapes: text in one line, and text without characters special to SentencePiece or fairseq.

A line break becomes U+21B5, a tab U+21E5, any other such character U+241B, its number in hex, and a semicolon.
These three signs are themselves escaped by number, so nothing is ambiguous.
"""

from __future__ import annotations

import re

NEWLINE, TAB, ESCAPE = "\u21b5", "\u21e5", "\u241b"
SIGNS = NEWLINE + TAB + ESCAPE
TO_SIGN = {"\n": NEWLINE, "\t": TAB}
FROM_SIGN = {sign: character for character, sign in TO_SIGN.items()}

# Line ends of str.splitlines, and NUL, which ends a text in C.
BREAKS = re.compile(f"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029\0{SIGNS}]")
# All white space except the space, control characters, U+2581 (SentencePiece's space) and lone surrogates.
SPECIAL = re.compile(f"[^\\S ]|[\0-\x1f\x7f-\x9f\u2581\ud800-\udfff{SIGNS}]")
ESCAPED = re.compile(f"{NEWLINE}|{TAB}|{ESCAPE}([0-9a-f]{{1,6}});")


def to_line(text: str) -> str:
    """Write a text as one line, for files with one text per line."""
    return BREAKS.sub(_escape, text)


def escape(text: str) -> str:
    """Replace all white space except the space, and SentencePiece's signs."""
    return SPECIAL.sub(_escape, text)


def unescape(text: str) -> str:
    """Undo :func:`escape` and :func:`to_line`; leave other text as it is."""
    return ESCAPED.sub(_unescape, text)


def _escape(match: re.Match) -> str:
    return TO_SIGN.get(match[0], f"{ESCAPE}{ord(match[0]):x};")


def _unescape(match: re.Match) -> str:
    if match[0] in FROM_SIGN:
        return FROM_SIGN[match[0]]
    number = int(match[1], 16)
    return chr(number) if number <= 0x10FFFF else match[0]
