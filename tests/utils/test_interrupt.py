"""An interruption is not lost."""

from __future__ import annotations

import contextlib
import signal

import pytest

from s2s_plugin import cli
from s2s_plugin.stages import average
from s2s_plugin.utils import interrupt


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


def test_what_begins_anew_is_not_said_to_continue(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(average, "run", lambda words: signal.raise_signal(signal.SIGINT))
    try:
        assert cli.main(["average"]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == "\ns2s: interrupted\n"
