"""Remember Ctrl-C even where a library swallows it (a bare ``except`` at an import, a C++ callback)."""

from __future__ import annotations

import signal

_interrupted = False


def listen() -> None:
    """Start to remember interrupts."""
    global _interrupted
    _interrupted = False
    signal.signal(signal.SIGINT, _handle)


def check() -> None:
    """Raise if the user has interrupted, even if the exception was swallowed then.

    Raises:
        KeyboardInterrupt: the user has interrupted since :func:`listen`.
    """
    if _interrupted:
        raise KeyboardInterrupt


def _handle(number: int, frame) -> None:
    global _interrupted
    _interrupted = True
    signal.default_int_handler(number, frame)
