"""The exception for mistakes a user can fix: bad input, bad option, missing file."""

from __future__ import annotations


class UserError(Exception):
    """A user's mistake: the message is one line that says what, where and how to fix it.

    The command line prints it as ``s2s: error: <message>`` without a traceback and exits with code 2.
    """

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))
