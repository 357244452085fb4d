"""Characters that are dropped from all text, because they can neither be seen nor mean anything.

These are control characters, lone surrogates, noncharacters, soft hyphens, byte order marks, word joiners and controls
of direction; and zero-width spaces, except in scripts that write no spaces between words. Everything else is kept:
joiners, Arabic and Syriac number signs, the Mongolian vowel separator, tags of emoji, private use, and characters that
are newer than Python's Unicode.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

ZERO_WIDTH_SPACE = "\u200b"
# Thai, Lao, Tibetan, Myanmar, Khmer, Tai Le, New Tai Lue, Tai Tham, Balinese, Sundanese, Javanese, Tai Viet
UNSPACED = "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u1b00-\u1bbf\ua980-\ua9ff\uaa60-\uaadf"
NONCHARACTERS = "\ufdd0-\ufdef" + "".join(
    f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 2**20 + 1, 2**16)
)
MEANINGLESS = re.compile(
    "[\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"  # control characters that are no white space
    "\u00ad\u061c\u200e\u200f\u202a-\u202e\u2060\u2066-\u206f\ufeff\ud800-\udfff" + NONCHARACTERS + "]"
)
NEXT_TO_UNSPACED = re.compile(f"(?<=[{UNSPACED}])(?=\\S)|(?<=\\S)(?=[{UNSPACED}])")


def drop_meaningless(text: str) -> str:
    """Return the text without the characters that this module names."""
    text = MEANINGLESS.sub("", text)
    if ZERO_WIDTH_SPACE not in text:
        return text
    first, *parts = re.split(f"{ZERO_WIDTH_SPACE}+", text)
    for part in parts:
        between = first[-1:] + part[:1]
        first += (ZERO_WIDTH_SPACE if len(between) == 2 and NEXT_TO_UNSPACED.search(between, 1) else "") + part
    return first


def dropped(text: str) -> Counter[str]:
    """Count the characters that :func:`drop_meaningless` takes out of a text."""
    counts = Counter(MEANINGLESS.findall(text))
    if spaces := text.count(ZERO_WIDTH_SPACE) - drop_meaningless(text).count(ZERO_WIDTH_SPACE):
        counts[ZERO_WIDTH_SPACE] = spaces
    return counts


def character_name(character: str) -> str:
    """Return the number and the name of a character, such as ``U+00AD SOFT HYPHEN``."""
    number = ord(character)
    kind = {"Cs": "surrogate", "Cc": "control character", "Cn": "noncharacter"}
    name = unicodedata.name(character, kind.get(unicodedata.category(character), "without a name"))
    return f"U+{number:04X} {name}"
