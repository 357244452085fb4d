"""What reaches the terminal: control characters are shown, from every command; pipes get results as they are."""

from __future__ import annotations

import os
import pty
import sys

import pytest

from s2s_plugin.errors import UserError, visible
from s2s_plugin.utils.console import dim, guard_terminal, harmless, note_some, say
from s2s_plugin.utils.workers import Workers

HOSTILE = "a\x1b]0;title\x07b\x9b31mc\rd\x7f\x00"
SHOWN = r"a\x1b]0;title\x07b\x9b31mc\x0dd\x7f\x00"


def test_control_characters_are_shown():
    assert visible(HOSTILE) == SHOWN
    assert visible("é 말 👩\u200d👧 \u202bعربي") == "é 말 👩\u200d👧 \u202bعربي"
    assert visible("a\n\tb") == r"a\x0a\x09b" and visible("a\n\tb", keep="\n\t") == "a\n\tb"
    assert visible(os.fsdecode(b"\xff.wav")) == r"\xff.wav" and visible("\ud800") == r"\ud800"
    assert str(UserError(f"{HOSTILE}: no such file")).startswith(r"a\x1b]0;title\x07b\x9b31mc d")


def test_lines_for_the_user(capsys, monkeypatch):
    say(HOSTILE)
    assert capsys.readouterr().err == SHOWN + "\n"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert harmless(dim("dim") + "\x1b[31m") == "\x1b[2mdim\x1b[0m" + r"\x1b[31m", "our own escapes pass"


def test_few_lines_about_many_files(capsys):
    for number in range(20):
        note_some("test", f"file {number}")
    assert capsys.readouterr().err.splitlines() == [
        *(f"      file {n}" for n in range(5)),
        "      more such files are not named",
    ]


def test_results_on_a_terminal_and_in_a_file(tmp_path, monkeypatch):
    outer, inner = pty.openpty()
    with os.fdopen(inner, "w", encoding="utf-8") as terminal, (tmp_path / "x").open("w", encoding="utf-8") as file:
        for output in (terminal, file):
            monkeypatch.setattr(sys, "stdout", output)
            guard_terminal()
            print(HOSTILE, flush=True)
        assert os.read(outer, 1000).decode() == SHOWN + "\r\n"
    os.close(outer)
    assert (tmp_path / "x").read_bytes().decode() == HOSTILE + "\n"


def test_a_reader_that_crashes_costs_its_task_alone():
    with Workers(1, lambda task: os._exit(3) if task == "bad" else task.upper(), remedy="leave it out") as reader:
        assert reader.map(["one"]) == ["ONE"]
        with pytest.raises(UserError, match="a worker process died, perhaps for lack of memory: leave it out"):
            reader.map(["bad"])
        assert reader.map(["two"]) == ["TWO"]
