"""Standard streams that are closed, not UTF-8, or whose reader has gone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from command_line import BIN, _environment, start


def shell(command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    """Run a line of bash, in which ``s2s`` is the command."""
    script = f'set -o pipefail; s2s() {{ {BIN}/s2s "$@"; }}; {command}'
    return subprocess.run(
        ["bash", "-c", script], cwd=cwd, env={**_environment(), **environment}, capture_output=True, text=True,
        encoding="utf-8", timeout=300,
    )  # fmt: skip


def test_unfinished_work_is_no_success(small_model: Path, small_settings: str, tmp_path: Path):
    source, sink = os.pipe()
    os.close(source)
    prepare = start(f"s2s prepare {small_settings}", tmp_path, stdout=sink, stderr=sink)
    os.close(sink)
    assert prepare.wait(300) == 141
    source, sink = os.pipe()
    translate = start("s2s translate app=nmt", small_model, stdin=b"a b c\n" * 3000, stdout=sink)
    os.close(sink)
    assert os.read(source, 1)
    os.close(source)
    assert translate.wait(300) == 0  # here the output is the work


@pytest.mark.parametrize(
    "environment",
    [pytest.param({"LC_ALL": "C"}, marks=pytest.mark.slow), {"LC_ALL": "POSIX", "PYTHONUTF8": "0"}],
)
def test_plain_locales(small_model: Path, environment: dict[str, str]):
    done = shell("printf 'a b \u00e9\\n' | s2s translate app=nmt", small_model, **environment)
    assert "Traceback" not in done.stderr
    assert (done.returncode, done.stdout.count("\n")) in ((0, 1), (2, 0))
    assert done.returncode == 0 or "must be UTF-8" in done.stderr


def test_ascii_is_no_encoding_for_text(small_model: Path):
    done = shell("printf 'a b\\n' | s2s translate app=nmt", small_model, PYTHONIOENCODING="ascii")
    assert done.returncode == 2 and "standard output must be UTF-8, got ascii" in done.stderr and done.stdout == ""


@pytest.mark.slow
def test_a_list_of_runs_may_be_ascii(small_model: Path):
    done = shell("s2s list runs", small_model, PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and "default" in done.stdout


@pytest.mark.parametrize("closed, code, words", [
    (">&-", 2, "standard output is closed"), ("<&-", 2, "standard input is closed"),
    pytest.param("2>&-", 0, "", marks=pytest.mark.slow),
])  # fmt: skip
def test_closed_streams(small_model: Path, closed: str, code: int, words: str):
    command = f"s2s translate app=nmt {closed}"
    done = shell(command if closed.startswith("<") else f"echo a b | {command}", small_model)
    assert done.returncode == code and words in done.stderr and "Traceback" not in done.stderr
    assert (done.stdout != "") == (code == 0)


def test_stages_work_without_any_stream(small_model: Path):
    done = shell("s2s report app=nmt <&- >&- 2>&-", small_model)
    assert done.returncode == 0
    assert (small_model / "runs/nmt/default/log.txt").read_bytes().count(b"\0") == 0
