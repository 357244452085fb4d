"""Kills of every stage and of its workers: the same command goes on, to the same weights and scores."""

from __future__ import annotations

import json
import os
import random
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from command_line import BIN, _environment, call

KILLS = 56


def children(pid: int) -> list[int]:
    try:
        found = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return found + [grandchild for child in found for grandchild in children(child)]


def outcome(run: Path) -> tuple[dict, dict, list[str]]:
    """Return scores, weights and hypotheses."""
    scores = json.loads((run / "scores.json").read_text())
    del scores["train_seconds"], scores["crc32"]
    weights = torch.load(run / "checkpoints/checkpoint_last.pt", weights_only=False)["model"]
    return scores, weights, (run / "test.hyp").read_text().splitlines()


@pytest.mark.slow
def test_killed_again_and_again(own_files: Path, tmp_path: Path):
    """At random moments, one in three a worker instead of the command, which then ends with an error of one line."""
    (tmp_path / "whole").mkdir(), (tmp_path / "killed").mkdir()
    command = (
        f"s2s run app=nmt data=files data.source={own_files}/letters.en data.target={own_files}/letters.de model=tiny "
        "subword.size=40 optimization.max_update=60 dataset.max_tokens=500 checkpoint_metric=loss workers=2 "
        "checkpoint.save_interval_updates=5 dataset.validate_interval_updates=5 dataset.num_workers=1"
    )
    call(command, cwd=tmp_path / "whole")
    expected = outcome(tmp_path / "whole/runs/nmt/default")
    draw, kills, workers, stages = random.Random(1), 0, 0, set()
    while kills < KILLS:
        log = tmp_path / "stderr"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [str(BIN / "s2s"), *shlex.split(command)[1:]], cwd=tmp_path / "killed", env=_environment(),
                stdout=subprocess.DEVNULL, stderr=file,
            )  # fmt: skip
            while process.poll() is None and b"[1/5]" not in log.read_bytes():
                time.sleep(0.05)
            deadline = time.monotonic() + draw.uniform(0, 5)
            only_worker = draw.random() < 1 / 3
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            targets = children(process.pid) if only_worker else []
            if process.poll() is None:
                os.kill(draw.choice(targets) if targets else process.pid, signal.SIGKILL)
                kills, workers = kills + 1, workers + bool(targets)
                stages |= {line.split()[-1] for line in log.read_text().splitlines() if line.startswith("[")}
            assert process.wait(300) in (0, 2, -signal.SIGKILL), log.read_text()[-2000:]
        print(kills, workers, process.returncode, sorted(stages), flush=True)
        assert "Traceback" not in log.read_text(), log.read_text()[-3000:]
        if process.returncode == 0:  # from the beginning, to be killed elsewhere
            assert same(outcome(tmp_path / "killed/runs/nmt/default"), expected)
            subprocess.run(["rm", "-r", tmp_path / "killed"], check=True)
            (tmp_path / "killed").mkdir()
    call(command, cwd=tmp_path / "killed")
    assert same(outcome(tmp_path / "killed/runs/nmt/default"), expected)
    print(f"{kills} kills, {workers} of workers, in {sorted(stages)}")


def same(one: tuple, other: tuple) -> bool:
    weights, others = one[1], other[1]
    return one[0] == other[0] and one[2] == other[2] and all(map(torch.equal, weights.values(), others.values()))
