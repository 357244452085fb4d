"""Training: lengthened, stopped and continued, several at once."""

from __future__ import annotations

import json
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
from command_line import call, start
from own_run import overrides


def test_training_can_be_lengthened(tmp_path: Path, own_files: Path):
    short = overrides(own_files).replace("max_update=60", "max_update=5")
    call(f"s2s prepare {short}", cwd=tmp_path)
    call(f"s2s train {short}", cwd=tmp_path)
    call("s2s generate app=nmt", cwd=tmp_path)
    call(f"s2s train {short} optimization.max_update=9", cwd=tmp_path)
    assert json.loads((tmp_path / "runs/nmt/default/trained.json").read_text())["updates"] == 9
    done = call("s2s score app=nmt", cwd=tmp_path, check=False)  # the outputs are of the shorter one
    assert done.returncode == 2 and "run the generate stage first" in done.stderr


def test_a_run_killed_after_its_last_update_trains_no_further(finished, tmp_path: Path, own_files: Path):
    copy = tmp_path / "copy"
    shutil.copytree(finished[0], copy)
    (copy / "runs" / "nmt" / "default" / "trained.json").unlink()
    call(f"s2s train {overrides(own_files)}", cwd=copy)
    ends = [json.loads((folder / "runs/nmt/default/trained.json").read_text()) for folder in (copy, finished[0])]
    assert ends[0]["updates"] == ends[1]["updates"] == 60 and ends[0]["best"] == ends[1]["best"]


@pytest.mark.slow
def test_patience_ends_training_once_and_for_all(tmp_path: Path, own_files: Path):
    """Two validations without a gain: the run goes on to its report, and no later command trains further."""
    patient = f"{overrides(own_files)} checkpoint.patience=2 optimization.lr=[1e-9] checkpoint_metric=bleu"
    done = call(f"s2s run {patient}", cwd=tmp_path)
    assert "early stop since valid performance hasn't improved for last 2 runs" in done.stderr
    run = tmp_path / "runs" / "nmt" / "default"
    before = json.loads((run / "trained.json").read_text())["updates"]
    scores = re.findall(r'"valid_bleu": "([^"]+)"', (run / "log.txt").read_text(encoding="utf-8"))
    assert len(scores) == 3 and len(set(scores)) == 1 and before < 60
    assert (run / "report.html").is_file()
    assert "up to date, skipping" in call(f"s2s train {patient}", cwd=tmp_path).stderr
    done = call(f"s2s train {patient} optimization.max_update=61", cwd=tmp_path)  # as after a crash: trained.json goes
    assert "patience has run out" in done.stderr
    assert json.loads((run / "trained.json").read_text())["updates"] == before


def test_the_best_by_loss_is_the_best(tmp_path: Path, own_files: Path):
    for stage in ("prepare", "train"):
        call(f"s2s {stage} {overrides(own_files)} checkpoint_metric=loss", cwd=tmp_path)
    records = [json.loads(line) for line in (tmp_path / "runs/nmt/default/log.txt").read_text().splitlines()
               if line.startswith("{") and "valid_loss" in line]  # fmt: skip
    best = min(float(record["valid_loss"]) for record in records)
    assert json.loads((tmp_path / "runs/nmt/default/trained.json").read_text())["best"] == pytest.approx(best)
    assert not any("valid_bleu" in record for record in records)


def test_parameters_are_counted_once_with_bf16_weights(tmp_path: Path, own_files: Path, finished):
    small = overrides(own_files).replace("max_update=60", "max_update=2") + " common.bf16=true"
    call(f"s2s prepare {small}", cwd=tmp_path)
    call(f"s2s train {small}", cwd=tmp_path)
    counts = [json.loads((folder / "runs/nmt/default/trained.json").read_text())["parameters"]
              for folder in (tmp_path, finished[0])]  # fmt: skip
    assert counts[0] == counts[1]


def test_two_preparations_at_once(tmp_path: Path, own_files: Path):
    both = [start(f"s2s prepare {overrides(own_files)}", tmp_path) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]


@pytest.mark.slow
def test_jobs_of_a_sweep_do_not_disturb_each_other(tmp_path: Path, own_files: Path, finished):
    """The second job of -m has its own folder and best checkpoint, and ends as it does alone."""
    call(f"s2s run -m {overrides(own_files)} optimization.max_update=20,60 ", cwd=tmp_path)
    jobs = sorted(path for path in (tmp_path / "runs" / "nmt").iterdir() if path.is_dir())
    assert all((job / "checkpoints" / "checkpoint_best.pt").is_file() for job in jobs)
    assert [job.name for job in jobs] == ["default-0", "default-1"]
    assert (jobs[1] / "test.hyp").read_text() == (finished[0] / "runs/nmt/default/test.hyp").read_text()


@pytest.mark.parametrize(
    "stop",
    [pytest.param(signal.SIGINT, id="ctrl-c"), pytest.param(signal.SIGKILL, id="kill -9", marks=pytest.mark.slow)],
)
def test_stopped_anywhere_it_continues_to_the_same_scores(tmp_path: Path, own_files: Path, finished, stop: int):
    """Stopped in preparation, in training and in generation; the same command each time."""
    run, prepared = tmp_path / "runs" / "nmt" / "default", tmp_path / "data-bin"
    moments = (
        lambda: list(prepared.glob("*.partial")),
        lambda: (run / "checkpoints" / "checkpoint_last.pt").is_file(),
        lambda: (run / "generate.partial").is_dir(),
    )
    for moment in moments:
        with (tmp_path / "stderr").open("wb") as stderr:
            process = start(f"s2s run {overrides(own_files)}", tmp_path, stderr=stderr)
        deadline = time.monotonic() + 120
        while not moment() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        process.send_signal(stop)
        code, errors = process.wait(60), (tmp_path / "stderr").read_text()
        assert code == (130 if stop == signal.SIGINT else -stop), errors
        assert "Traceback" not in errors
    call(f"s2s run {overrides(own_files)}", cwd=tmp_path)
    whole = finished[0] / "runs" / "nmt" / "default"
    assert (run / "test.hyp").read_text() == (whole / "test.hyp").read_text()
    scores = [json.loads((folder / "scores.json").read_text())["metrics"] for folder in (run, whole)]
    assert scores[0] == scores[1]
    assert not list(tmp_path.rglob("*.partial"))
