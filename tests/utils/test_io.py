"""Files that appear whole or not at all; locks between processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import locked, reserved, write_text

HOLD = """import pathlib, sys
from s2s_plugin.utils import io
with io.{lock}(pathlib.Path(sys.argv[1])):
    print(1, flush=True)
    input()
"""
SINCE = r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


@contextmanager
def holder(lock: str, path: Path) -> Iterator[subprocess.Popen]:
    """Another process that holds a lock until it is killed."""
    command = [sys.executable, "-c", HOLD.format(lock=lock), str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "1\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_file_is_replaced_whole(tmp_path: Path):
    for text in ("first", "second"):
        write_text(tmp_path / "new" / "file", text)
    assert [path.name for path in tmp_path.rglob("*")] == ["new", "file"]
    assert (tmp_path / "new" / "file").read_text() == "second"


@pytest.mark.parametrize("name", ["file/a", "file/a/b"])
def test_a_parent_that_is_a_file_is_the_users_mistake(tmp_path: Path, name: str):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=rf"{name}: cannot be written"):
        write_text(tmp_path / name, "text")


def test_a_folder_is_reserved_by_one_process(tmp_path: Path):
    with holder("reserved", tmp_path) as process:
        rule = rf"{tmp_path} is being worked on by process {process.pid} {SINCE}: .* another name="
        with pytest.raises(UserError, match=rule), reserved(tmp_path):
            pass
        process.kill()  # not even its file is in the way
        process.wait()
        assert (tmp_path / ".lock").is_file()
        with reserved(tmp_path):
            assert str(os.getpid()) in (tmp_path / ".lock").read_text()
    assert not list(tmp_path.iterdir())


def test_a_lock_that_its_holder_deletes_is_taken_anew(tmp_path: Path):
    with holder("reserved", tmp_path) as process:
        child = os.fork()
        if child == 0:
            time.sleep(0.3)
            process.communicate("\n")  # ends its work
            os._exit(0)
        with locked(tmp_path / ".lock"):
            os.waitpid(child, 0)
            assert str(os.getpid()) in (tmp_path / ".lock").read_text()


def test_who_waits_says_for_what(tmp_path: Path, capsys: pytest.CaptureFixture):
    with holder("locked", tmp_path / ".data.lock") as process:
        child = os.fork()
        if child == 0:
            time.sleep(0.5)
            os.kill(process.pid, signal.SIGKILL)
            os._exit(0)
        with locked(tmp_path / ".data.lock"):
            os.waitpid(child, 0)
    said = rf"      waits for {tmp_path}/data, which is being worked on by process {process.pid} {SINCE}\n"
    assert re.fullmatch(said, capsys.readouterr().err)
