"""The exception for mistakes a user can fix: bad input, bad option, missing file."""

from __future__ import annotations

import re

MAX_LENGTH = 1000  # characters of a message
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def visible(text: str, keep: str = "") -> str:
    r"""Return text with its control characters, but for ``keep``, as ``\x1b``: a terminal would obey them.

    A byte of a file name that is not UTF-8 is shown too; Python has it as a surrogate.
    """

    def show(match: re.Match) -> str:
        number = ord(match[0])
        is_byte = number < 0x100 or 0xDC80 <= number < 0xDD00
        return match[0] if match[0] in keep else f"\\x{number & 0xFF:02x}" if is_byte else f"\\u{number:04x}"

    return CONTROLS.sub(show, text)


class UserError(Exception):
    """A user's mistake: the message is one line that says what, where and how to fix it.

    The command line prints it as ``s2s: error: <message>`` without a traceback and exits with code 2.
    """

    def __init__(self, message: str):
        line = visible(" ".join(message.split()))
        super().__init__(line if len(line) <= MAX_LENGTH else f"{line[:700]} ... {line[-250:]}")  # with the remedy
