"""Shared by all tests: a toy corpus, and a model trained on it through the real command line."""

from __future__ import annotations

import gc
import os
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: several tests run at once

import pytest
from command_line import PREPROCESS, TRAIN, call, write_reversed
from hydra import version

from s2s_plugin.utils.io import build_folder


def pytest_xdist_auto_num_workers() -> int:
    """Return more than there are cores: tests wait for files, signals and time limits."""
    return round(1.5 * len(os.sched_getaffinity(0)))


def pytest_collection_finish() -> None:
    """Leave out of all garbage collections from now on what has been imported and collected: a million objects."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what pytest-xdist's workers build together, each thing once (``build_folder``)."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if os.environ.get("PYTEST_XDIST_WORKER") else folder


@pytest.fixture(scope="session")
def toy(shared: Path) -> Path:
    """A corpus of reversed letters binarised by fairseq-preprocess: 2,000 / 50 / 13 pairs."""
    return build_folder(shared / "toy", _preprocess) / "bin"


def _preprocess(folder: Path) -> None:
    write_reversed(folder, {"train": 2000, "valid": 50, "test": 13})
    prefixes = " ".join(f"--{split}pref {split}" for split in ("train", "valid", "test"))
    call(f"{PREPROCESS} {prefixes}", cwd=folder)


@pytest.fixture(scope="session")
def trained(shared: Path, toy: Path) -> Path:
    """A checkpoint that can reverse letters, trained with BLEU in the loop by plain fairseq-train."""
    best = "--eval-metric bleu --best-checkpoint-metric bleu --maximize-best-checkpoint-metric"

    def train(save_dir: Path) -> None:
        call(TRAIN.format(data=toy, save_dir=save_dir) + f" --max-update 300 {best}")

    return build_folder(shared / "trained", train) / "checkpoint_best.pt"


@pytest.fixture(scope="session")
def own_files(shared: Path) -> Path:
    """A user's two text files, ``letters.en`` and ``letters.de``, 400 pairs; the second in upper case."""
    return build_folder(
        shared / "own", lambda folder: write_reversed(folder, {"letters": 400}, ("en", "de"), upper=True)
    )


@pytest.fixture
def old_hydra():
    """The version of its interface that fairseq's command line speaks; afterwards as found."""
    before = version.VersionBase.instance().getbase()
    version.setbase("1.1")
    yield
    version.VersionBase.instance().version_base = before


@pytest.fixture(scope="session")
def small_settings(own_files: Path) -> str:
    """The overrides of ``small_model``."""
    return (
        f"app=nmt data=files data.source={own_files}/letters.en data.target={own_files}/letters.de model=tiny "
        "subword.size=40 dataset.max_tokens=500 optimization.max_update=150 optimization.lr=[0.01] "
        "lr_scheduler.warmup_updates=20 model.dropout=0.1 checkpoint_metric=loss workers=1"
    )


@pytest.fixture(scope="session")
def small_model(shared: Path, small_settings: str) -> Path:
    """The folder of a finished run, ``runs/nmt/default``: reversed letters, of which it has learnt something."""
    return build_folder(shared / "small", lambda folder: call(f"s2s run {small_settings}", cwd=folder))
