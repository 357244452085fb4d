"""A worker of the data loader that is killed: the command ends in one line, and the next goes on."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from command_line import call
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from s2s_plugin.cli import main

COMMANDS = {
    "train": "train app=nmt optimization.max_update=300 dataset.num_workers=2",
    "generate": "generate app=nmt workers=1 dataset.num_workers=2 dataset.batch_size=1",
}


@pytest.mark.parametrize("batch", [0, 2])
@pytest.mark.parametrize("stage", COMMANDS)
def test_one_line_and_soon(small_model: Path, tmp_path: Path, stage: str, batch: int, monkeypatch, capsys):
    """Before the first batch, and while it has others in hand."""
    next_data, killed = _MultiProcessingDataLoaderIter._next_data, []

    def kill(batches: _MultiProcessingDataLoaderIter):
        if batches._rcvd_idx == batch and not killed:
            os.kill(batches._workers[0].pid, signal.SIGKILL)
            killed.append(time.monotonic())
        return next_data(batches)

    run = tmp_path / "copy/runs/nmt/default"
    shutil.copytree(small_model, tmp_path / "copy")
    (run / "generated.json").unlink()
    monkeypatch.chdir(tmp_path / "copy")
    with monkeypatch.context() as patch:
        patch.setattr(_MultiProcessingDataLoaderIter, "_next_data", kill)
        assert main(COMMANDS[stage].split()) == 2
    assert time.monotonic() - killed[0] < 20
    text = capsys.readouterr().err
    assert "Traceback" not in text and text.count("s2s: error: ") == 1, text
    assert "worker" in text.splitlines()[-1] and "dataset.num_workers=0" in text.splitlines()[-1]
    assert not (run / "generated.json").exists() and not list(run.rglob("*.partial"))
    if stage == "generate":
        call("s2s generate app=nmt", cwd=tmp_path / "copy")
        assert (run / "generated.json").is_file()
