"""Runs of signals, shared by the tests of this folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from media import RUNS, media_run

from s2s_plugin.utils.io import build_folder


@pytest.fixture(scope="session")
def media_runs(shared: Path) -> dict[str, Path]:
    """Folders by modality, each with a run of a few updates, ``runs/APP/default``, and its files in ``media``."""
    folders = {modality: shared / f"run_of_{modality}" for modality in RUNS}
    return {name: build_folder(folder, partial(media_run, modality=name)) for name, folder in folders.items()}
