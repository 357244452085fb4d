"""Kills of every stage and of its workers: the same command goes on, to the same weights and scores."""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from command_line import BIN, _environment, call

KILLS = 56
STAGES = range(1, 6)
PLAN = (1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4, 5)  # the stages of the next kills, until the run is finished


def children(pid: int) -> list[int]:
    """Return the processes below this one, whichever of its threads has started them."""
    try:
        texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    found = [int(each) for text in texts for each in text.split()]
    return found + [grandchild for child in found for grandchild in children(child)]


def outcome(run: Path) -> tuple[dict, dict, list[str]]:
    """Return scores, weights and hypotheses."""
    scores = json.loads((run / "scores.json").read_text())
    del scores["train_seconds"], scores["crc32"]
    weights = torch.load(run / "checkpoints/checkpoint_last.pt", weights_only=False)["model"]
    return scores, weights, (run / "test.hyp").read_text().splitlines()


def follow(command: str, folder: Path, log: Path) -> subprocess.Popen:
    """Start a command whose messages go to ``log``."""
    with log.open("wb") as file:
        return subprocess.Popen(
            [str(BIN / "s2s"), *shlex.split(command)[1:]], cwd=folder, env=_environment(),
            stdout=subprocess.DEVNULL, stderr=file, start_new_session=True,
        )  # fmt: skip


def wait_for(process: subprocess.Popen, log: Path, stage: int) -> bool:
    """Wait until a stage begins; return whether it does."""
    while process.poll() is None and f"[{stage}/5]" not in log.read_text(errors="replace"):
        time.sleep(0.01)
    return process.poll() is None


@pytest.mark.slow
def test_killed_again_and_again(own_files: Path, tmp_path: Path):
    """In every stage at random moments; half of them a worker process, after which the command says so in one line."""
    whole, killed, log = tmp_path / "whole", tmp_path / "killed", tmp_path / "stderr"
    whole.mkdir(), killed.mkdir()
    command = (
        f"s2s run app=nmt data=files data.source={own_files}/letters.en data.target={own_files}/letters.de model=tiny "
        "subword.size=40 optimization.max_update=60 dataset.max_tokens=500 checkpoint_metric=loss workers=2 "
        "checkpoint.save_interval_updates=5 dataset.validate_interval_updates=5 dataset.num_workers=1"
    )
    process, starts = follow(command, whole, log), {}
    for stage in STAGES:
        wait_for(process, log, stage)
        starts[stage] = time.monotonic()
    assert process.wait(300) == 0, log.read_text()
    lengths = {stage: starts.get(stage + 1, time.monotonic()) - starts[stage] for stage in STAGES}
    expected = outcome(whole / "runs/nmt/default")
    draw, kills, workers = random.Random(1), Counter[int](), Counter[int]()
    while kills.total() < KILLS:
        for stage in PLAN:
            process = follow(command, killed, log)
            if wait_for(process, log, stage):
                only_worker = stage < 4 and draw.random() < 1 / 2  # score and report have none
                deadline = time.monotonic() + (lengths[stage] if only_worker else draw.uniform(0, lengths[stage] / 4))
                while process.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.01)
                    if only_worker and children(process.pid) and draw.random() < 0.1:
                        break
                targets = children(process.pid) if only_worker else []
                if process.poll() is None:
                    with suppress(ProcessLookupError):  # it has just ended
                        os.kill(draw.choice(targets) if targets else process.pid, signal.SIGKILL)
                        kills[stage] += 1
                        workers[stage] += bool(targets)
            assert process.wait(300) in (0, 2, -signal.SIGKILL), log.read_text()[-2000:]
            print(stage, process.returncode, kills.total(), workers.total(), flush=True)
            assert "Traceback" not in log.read_text(), log.read_text()[-3000:]
            if process.returncode == 0:  # faster than this
                break
        call(command, cwd=killed)  # the rest; then from the beginning, to be killed elsewhere
        assert same(outcome(killed / "runs/nmt/default"), expected)
        assert not list(killed.rglob("*.partial"))
        shutil.rmtree(killed)
        killed.mkdir()
    print(f"{kills.total()} kills by stage {dict(kills)}, of workers {dict(workers)}")
    assert set(kills) == set(STAGES)


def same(one: tuple, other: tuple) -> bool:
    weights, others = one[1], other[1]
    return one[0] == other[0] and one[2] == other[2] and all(map(torch.equal, weights.values(), others.values()))
