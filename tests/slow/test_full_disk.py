"""A disk that is full at every point of every stage: one line, nothing half-written, and the same command goes on."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import call

from s2s_plugin.utils.io import read_json

STAGES = ("prepare", "train", "generate", "score", "report")
PAGE, GROWTH = 4096, 1.5
HALF_WRITTEN = ("*.partial", "*.tmp", "*.part", "*.old")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MB in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64M", "tmpfs", folder]).returncode:
        pytest.skip("requires the right to mount")
    yield folder
    subprocess.run(["umount", folder], check=True)


def leave_free(folder: Path, size: int) -> None:
    """Fill the disk but for so many bytes."""
    filler = folder / "filler"
    filler.unlink(missing_ok=True)
    state = os.statvfs(folder)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, state.f_bavail * state.f_frsize - size)


@pytest.mark.slow
def test_every_stage_on_a_full_disk(own_files: Path, disk: Path, tmp_path: Path):
    """With a page free, then more, until the stage is done; the next begins with a page again."""
    options = (
        f"app=nmt data=files data.source={own_files}/letters.en data.target={own_files}/letters.de model=tiny "
        "subword.size=40 optimization.max_update=10 dataset.max_tokens=500 checkpoint_metric=loss workers=1 "
        "checkpoint.save_interval_updates=5 dataset.validate_interval_updates=5"
    )
    call(f"s2s run {options}", cwd=tmp_path)
    points = Counter[str]()
    for stage in STAGES:
        free = PAGE
        while True:
            leave_free(disk, free)
            done = call(f"s2s {stage} {options}", cwd=disk, check=False)
            if done.returncode == 0:
                break
            points[stage] += 1
            errors = [line for line in done.stderr.splitlines() if line.startswith("s2s: error: ")]
            print(stage, free, errors, flush=True)
            assert done.returncode == 2 and len(errors) == 1 and "Traceback" not in done.stderr, done.stderr
            assert not [path for pattern in HALF_WRITTEN for path in disk.rglob(pattern)]
            assert all(read_json(path) is not None for path in disk.rglob("*.json"))
            free = max(free + PAGE, int(free * GROWTH) // PAGE * PAGE)
    scores = [json.loads((folder / "runs/nmt/default/scores.json").read_text()) for folder in (tmp_path, disk)]
    for each in scores:
        del each["train_seconds"], each["crc32"]
    print(f"{points.total()} points, by stage: {dict(points)}")
    assert scores[0] == scores[1]
    assert set(points) == set(STAGES)
