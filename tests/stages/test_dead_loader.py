"""A worker of the data loader that is killed: the command ends in one line within seconds, and the next goes on."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from command_line import call
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from s2s_plugin.cli import main

COMMANDS = {
    "train": "train app=nmt optimization.max_update=300 dataset.num_workers=2",
    "generate": "generate app=nmt workers=1 dataset.num_workers=2 dataset.batch_size=1",
}
SECONDS = 60


def run_and_kill(words: list[str], folder: Path, batch: int, stderr: Path) -> None:
    """Run a command in this process, which is a fork, and kill a worker before a batch is taken."""
    next_data = _MultiProcessingDataLoaderIter._next_data

    def kill(batches: _MultiProcessingDataLoaderIter):
        if batches._rcvd_idx == batch:
            with contextlib.suppress(ProcessLookupError):
                os.kill(batches._workers[0].pid, signal.SIGKILL)
        return next_data(batches)

    _MultiProcessingDataLoaderIter._next_data = kill
    os.chdir(folder)
    torch.set_num_threads(1)  # a fork lacks the threads of its parent
    with stderr.open("w") as file, contextlib.redirect_stderr(file):
        code = main(words)
    os._exit(code)


@pytest.mark.parametrize("batch", [0, 2])
@pytest.mark.parametrize("stage", COMMANDS)
def test_one_line_and_soon(small_model: Path, tmp_path: Path, stage: str, batch: int):
    """Before the first batch, and while it has others in hand."""
    folder, stderr = tmp_path / "copy", tmp_path / "stderr"
    run = folder / "runs/nmt/default"
    shutil.copytree(small_model, folder)
    (run / "generated.json").unlink()
    arguments = (COMMANDS[stage].split(), folder, batch, stderr)
    process = multiprocessing.get_context("fork").Process(target=run_and_kill, args=arguments)
    process.start()
    process.join(SECONDS)
    process.kill()
    text = stderr.read_text()
    assert process.exitcode == 2 and "Traceback" not in text and text.count("s2s: error: ") == 1, text
    assert "worker" in text.splitlines()[-1] and "dataset.num_workers=0" in text.splitlines()[-1]
    assert not (run / "generated.json").exists() and not list(run.rglob("*.partial"))
    if stage == "generate":
        call("s2s generate app=nmt", cwd=folder)
        assert (run / "generated.json").is_file()
