"""A small model with which the tests of this folder generate and translate."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import call


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory, own_files: Path) -> Path:
    """The folder of a finished run, ``runs/nmt/default``: reversed letters, of which it has learnt something."""
    folder = tmp_path_factory.mktemp("small")
    call(
        f"s2s run app=nmt data=files data.source={own_files}/letters.en data.target={own_files}/letters.de model=tiny "
        "subword.size=40 dataset.max_tokens=500 optimization.max_update=150 optimization.lr=[0.01] "
        "lr_scheduler.warmup_updates=20 model.dropout=0.1 best=loss workers=1",
        cwd=folder,
    )
    return folder
