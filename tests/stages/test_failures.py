"""Training that diverges, a full disk, limits of the machine: one line, nothing half-written, and it goes on."""

from __future__ import annotations

import json
import math
import resource
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from command_line import call
from mistakes import TINY, mistake

SLOW = pytest.mark.slow  # tests/slow/test_full_disk.py has more of them


@pytest.fixture(scope="module")
def data_bin(own_files: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Prepared data, and the overrides that made it."""
    folder = tmp_path_factory.mktemp("failures")
    overrides = f"app=nmt data=files data.source={own_files}/letters.en data.target={own_files}/letters.de {TINY}"
    overrides = overrides.replace("optimization.max_update=3", "optimization.max_update=12")
    call(f"s2s prepare {overrides}", cwd=folder)
    return folder / "data-bin", overrides


@pytest.fixture
def prepared(data_bin: tuple[Path, str], tmp_path: Path) -> tuple[Path, str]:
    """A folder with a copy of the prepared data, and the overrides of a training that saves often."""
    shutil.copytree(data_bin[0], tmp_path / "data-bin")
    return tmp_path, f"{data_bin[1]} checkpoint.save_interval_updates=3 dataset.validate_interval_updates=3"


def one_line(done: subprocess.CompletedProcess, *words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr and done.stderr.count("s2s: error: ") == 1, done.stderr
    last = done.stderr.rstrip().splitlines()[-1]
    assert last.startswith("s2s: error: ") and all(word in last for word in words), last


@pytest.mark.parametrize(
    "words",
    [
        "optimization.clip_norm=0 optimization.lr=[1e30]",
        pytest.param("optimization.lr=[1e38]", marks=pytest.mark.slow),
    ],
)
def test_divergence(prepared, words: str):
    folder, overrides = prepared
    run = folder / "runs/nmt/default"
    call(f"s2s train {overrides} optimization.max_update=6", cwd=folder)  # of good checkpoints
    settings = json.loads((run / "settings.json").read_text())
    good = (run / "checkpoints/checkpoint_last.pt").read_bytes()
    # The rate may not change in a run that is well; a run that begins with it diverges.
    mistake(folder, f"s2s train {overrides} {words}", "trained with")
    mistake(folder, f"s2s train {overrides} {words} name=wild", "diverged", "lower optimization.lr", "clip_norm")
    wild = folder / "runs/nmt/wild"
    assert (wild / "diverged.json").is_file() and not (wild / "trained.json").exists()
    assert not (wild / "checkpoints/crash.pt").exists()
    for path in (wild / "checkpoints").glob("*.pt"):
        weights = torch.load(path, weights_only=True)["model"].values()
        assert all(weight.isfinite().all() for weight in weights)
    call(f"s2s train {overrides} name=wild optimization.lr=[0.001]", cwd=folder)
    assert math.isfinite(json.loads((wild / "trained.json").read_text())["best"])
    assert not (wild / "diverged.json").exists()
    assert good == (run / "checkpoints/checkpoint_last.pt").read_bytes()
    assert settings == json.loads((run / "settings.json").read_text())


def test_divergence_in_the_second_epoch(prepared):
    """The same command with another rate goes on from the last good checkpoint."""
    folder, overrides = prepared
    words = "name=late lr_scheduler=fixed dataset.max_tokens=500"
    rates = "optimization.lr=[0.001,1e30] optimization.clip_norm=0"
    mistake(folder, f"s2s train {overrides} {words} {rates}", "diverged", "continues from the last checkpoint")
    done = call(f"s2s train {overrides} {words} optimization.lr=[0.001] optimization.clip_norm=0", cwd=folder)
    assert "continues after 4 updates" in done.stderr and "12 updates in" in done.stderr


@pytest.mark.parametrize("size", [pytest.param(300, marks=SLOW), 3_000, pytest.param(30_000, marks=SLOW)])
def test_full_disk(prepared, size: int):
    """As on a full disk each write fails after so many bytes of a file; afterwards the same command does it."""
    folder, overrides = prepared
    done = call(f"s2s train {overrides}", folder, check=False, limits={resource.RLIMIT_FSIZE: size})
    one_line(done, "File too large" if size < 30_000 else "")
    run = folder / "runs/nmt/default"
    assert not list(run.rglob("*.tmp")) and not list(run.rglob("*.partial")) and not (run / "trained.json").exists()
    call(f"s2s train {overrides}", cwd=folder)
    assert json.loads((run / "trained.json").read_text())["updates"] == 12


def test_full_disk_of_prepare(own_files: Path, tmp_path: Path):
    overrides = f"app=nmt data=files data.source={own_files}/letters.en data.target={own_files}/letters.de {TINY}"
    done = call(f"s2s prepare {overrides}", tmp_path, check=False, limits={resource.RLIMIT_FSIZE: 2_000})
    one_line(done)
    assert not [path for path in (tmp_path / "data-bin").iterdir() if path.is_dir()]


def test_log_that_cannot_be_written(prepared):
    folder, overrides = prepared
    run = folder / "runs/nmt/full"
    run.mkdir(parents=True)
    (run / "log.txt").symlink_to("/dev/full")
    mistake(folder, f"s2s train {overrides} name=full", "log.txt", "No space left on device")
    (run / "log.txt").unlink()
    (run / "log.txt").mkdir()
    mistake(folder, f"s2s train {overrides} name=full", "log.txt", "Is a directory")


@pytest.mark.parametrize("megabytes", [1500, 2500])
def test_limit_of_memory(prepared, megabytes: int):
    folder, overrides = prepared
    big = "model.encoder_hidden_size=9000 model.decoder_hidden_size=9000"
    limits = {resource.RLIMIT_AS: megabytes * 2**20}
    done = call(f"s2s train {overrides} name=big {big}", folder, check=False, limits=limits)
    one_line(done, "memory")


def test_too_many_open_files(prepared):
    folder, overrides = prepared
    done = call(f"s2s train {overrides} name=open", folder, check=False, limits={resource.RLIMIT_NOFILE: 12})
    one_line(done, "open files")
