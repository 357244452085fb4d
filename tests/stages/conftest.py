"""A finished run, which several files of tests share."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from command_line import call_process
from own_run import overrides

from s2s_plugin.utils.io import build_folder


@pytest.fixture(scope="session")
def finished(shared: Path, own_files: Path) -> tuple[Path, subprocess.CompletedProcess]:
    """A finished run in a folder of its own, by a process that also says what its imports say."""

    def run(folder: Path) -> None:
        (folder / "work").mkdir()
        done = call_process(f"s2s run {overrides(own_files)}", cwd=folder / "work")
        (folder / "stdout").write_text(done.stdout, encoding="utf-8")
        (folder / "stderr").write_text(done.stderr, encoding="utf-8")

    folder = build_folder(shared / "finished", run)
    printed = ((folder / name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))
    return folder / "work", subprocess.CompletedProcess(["s2s", "run"], 0, *printed)
