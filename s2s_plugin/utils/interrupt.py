"""Ctrl-C, also where a library on the way swallows it (a bare ``except`` at an import, a C++ callback)."""

from __future__ import annotations

import signal

_asked = False


def listen() -> None:
    """From now on, remember that the user has interrupted."""
    global _asked
    _asked = False
    signal.signal(signal.SIGINT, _note)


def check() -> None:
    """
    Raises:
        KeyboardInterrupt: the user has interrupted, whatever became of it.
    """
    if _asked:
        raise KeyboardInterrupt


def _note(number: int, frame) -> None:
    global _asked
    _asked = True
    signal.default_int_handler(number, frame)
