"""Several processes give what one gives."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from command_line import call
from omegaconf import OmegaConf

from s2s_plugin.errors import UserError
from s2s_plugin.inference.translator import Translator
from s2s_plugin.inference.workers import batches, resolve_workers
from s2s_plugin.utils.workers import Workers


def work(task: int) -> tuple[int, int, int]:
    if task == 13:
        raise UserError("13 brings bad luck")
    if task == 99:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.01)  # else one process may take all the tasks before another has started
    return 2 * task, os.getpid(), torch.get_num_threads()


def test_results_are_in_the_order_of_the_tasks():
    torch.randn(300, 300) @ torch.randn(300, 300)  # OpenMP has begun here
    with Workers(3, work) as workers:
        results = workers.map(range(50, 90))
        assert [doubled for doubled, _, _ in results] == list(range(100, 180, 2))
        pids = {pid for _, pid, _ in results}
        assert 1 < len(pids) <= 3 and os.getpid() not in pids
        assert {threads for _, _, threads in results} == {1}
        assert [doubled for doubled, _, _ in workers.map([1])] == [2] and workers.map([]) == []
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.parametrize("task, message", [(13, "13 brings bad luck"), (99, "a worker process died")])
def test_an_error_in_a_worker_is_raised_here(task: int, message: str):
    with Workers(2, work) as workers:
        with pytest.raises(UserError, match=message):
            workers.map([1, task, 3])
        assert [doubled for doubled, _, _ in workers.map([5, 6, 7])] == [10, 12, 14]  # of these tasks, not of those


def test_a_process_that_dies_while_it_waits():
    with Workers(2, work) as workers:
        os.kill(workers.map([1, 2])[0][1], signal.SIGKILL)
        with pytest.raises(UserError, match="a worker process died"):
            for _ in range(1000):  # the other process may answer before the death is noticed
                workers.map([1, 2])


def test_how_many_pay(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert [resolve_workers(0, items, True) for items in (0, 13, 250, 10_000)] == [1, 1, 2, 4]
    assert [resolve_workers(3, items, True) for items in (0, 2, 10_000)] == [1, 2, 3]
    assert [resolve_workers(asked, 10_000, False) for asked in (0, 1)] == [1, 1]
    for asked, cpu in ((-1, True), (2, False)):
        with pytest.raises(UserError, match="workers must be"):
            resolve_workers(asked, 10_000, cpu)


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_hold_every_source_once(workers: int):
    lengths = [random.Random(1).randint(1, 40) for _ in range(300)] + [500]
    groups = batches(lengths, 200, workers)
    assert sorted(index for group in groups for index in group) == list(range(301))
    for group in groups:
        assert len(group) * max(lengths[index] for index in group) <= 200 or len(group) == 1
    assert len(batches([3] * 40, 1000, workers)) == (1 if workers == 1 else 8)


def test_a_test_set(small_model: Path, tmp_path: Path):
    """Outputs, their scores and the cost of speed, to the byte; the batches are small, so that there are several."""
    made = {}
    for workers in (1, 3):
        folder = tmp_path / str(workers)
        shutil.copytree(small_model, folder)
        call(f"s2s generate app=nmt workers={workers} dataset.max_tokens=60 task.search_precision=int8", cwd=folder)
        run = folder / "runs/nmt/default"
        names = ("test.hyp", "outputs.jsonl", "generate-test.txt", "speed.json", "attention.jsonl")
        made[workers] = {name: (run / name).read_bytes() for name in names}
        assert not (run / "generate.partial").exists()
    assert made[1] == made[3]
    rows = [json.loads(line) for line in made[3]["outputs.jsonl"].splitlines()]
    assert [row["id"] for row in rows] == list(range(len(rows))) and len({row["score"] for row in rows}) > 30


def test_lines_of_text(small_model: Path):
    """Drawn ones too: what a line gets follows from its number, not from its window, batch or process."""
    generation = OmegaConf.create({"beam": 3, "sampling": True, "max_len_a": 1.5, "max_len_b": 10})
    checkpoint = small_model / "runs/nmt/default/checkpoints/checkpoint_best.pt"
    sources = next((small_model / "data-bin").glob("files.*/text/train.en")).read_text().splitlines()[:70]
    data = next((small_model / "data-bin").glob("files.*"))
    alone = Translator(checkpoint, generation, data=data, max_tokens=500)
    whole = alone.translate(sources)
    by_ones = [alone.translate([line], number)[0] for number, line in enumerate(sources)]
    assert [each.text for each in by_ones] == [each.text for each in whole]
    assert alone.workers is None
    shared = Translator(checkpoint, generation, data=data, max_tokens=30, workers=2)
    try:
        in_windows = shared.translate(sources[:30]) + shared.translate(sources[30:], 30)
        assert len(multiprocessing.active_children()) == 2
    finally:
        shared.workers.stop()
    assert [each.text for each in in_windows] == [each.text for each in whole]
    assert [each.score for each in in_windows] == pytest.approx([each.score for each in whole], abs=1e-5)


def test_a_shard_is_no_test_set(small_model: Path):
    done = call("s2s generate app=nmt dataset.num_shards=2", cwd=small_model, check=False)
    assert done.returncode == 2 and "workers=N" in done.stderr and "fairseq-generate --num-shards" in done.stderr
