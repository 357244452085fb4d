"""An interruption is not lost."""

from __future__ import annotations

import contextlib
import signal

import pytest

from s2s_plugin.pipeline import interrupt


def test_what_a_library_swallows_is_remembered():
    before = signal.getsignal(signal.SIGINT)
    try:
        interrupt.listen()
        interrupt.check()
        with contextlib.suppress(KeyboardInterrupt):  # the library
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupt.check()
        interrupt.listen()
        interrupt.check()
    finally:
        signal.signal(signal.SIGINT, before)
