"""A run and its data where nobody may write: what writes ends in one line, what reads works."""

from __future__ import annotations

from pathlib import Path

from command_line import call
from mistakes import mistake
from own_run import overrides
from read_only import read_only


def test_what_writes_ends_in_one_line_and_what_reads_works(finished, own_files: Path, tmp_path: Path):
    with read_only(finished[0], tmp_path / "work") as folder:
        own = overrides(own_files)
        for command in (
            f"s2s prepare {own} data.held_out=10",
            f"s2s train {own} optimization.max_update=1000",
            "s2s generate app=nmt generation.beam=2",
            "s2s average runs/nmt/default/checkpoints/checkpoint_best.pt --to mean.pt",
        ):
            mistake(folder, command, "Read-only file system")
        assert call("s2s translate app=nmt", cwd=folder, stdin="a b\n").stdout.count("\n") == 1
