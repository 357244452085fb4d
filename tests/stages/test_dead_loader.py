"""A worker of the data loader that is killed: the command ends in one line within seconds, and the next goes on."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import call

COMMANDS = {
    "train": "train app=nmt optimization.max_update=300 dataset.num_workers=2",
    "generate": "generate app=nmt workers=1 dataset.num_workers=2 dataset.batch_size=1",
}
SECONDS = 60
KILL = """
import contextlib, os, signal, sys
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter as Batches
from s2s_plugin.cli import main

next_data, batch = Batches._next_data, int(sys.argv.pop(1))

def kill(batches):
    if batches._rcvd_idx == batch:
        with contextlib.suppress(ProcessLookupError):
            os.kill(batches._workers[0].pid, signal.SIGKILL)
    return next_data(batches)

Batches._next_data = kill
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow  # the loader is waited for
@pytest.mark.parametrize(("stage", "batch"), [("train", 0), ("train", 2), ("generate", 0), ("generate", 2)])
def test_one_line_and_soon(small_model: Path, tmp_path: Path, stage: str, batch: int):
    """Before the first batch, and while it has others in hand."""
    folder = tmp_path / "copy"
    run = folder / "runs/nmt/default"
    shutil.copytree(small_model, folder)
    (run / "generated.json").unlink()
    command = [sys.executable, "-c", KILL, str(batch), *COMMANDS[stage].split()]
    stderr = tmp_path / "stderr"  # a pipe would wait for whoever inherits it
    with stderr.open("w") as file:
        done = subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=file, timeout=SECONDS)
    text = stderr.read_text()
    assert done.returncode == 2 and "Traceback" not in text and text.count("s2s: error: ") == 1, text
    assert "worker" in text.splitlines()[-1] and "dataset.num_workers=0" in text.splitlines()[-1]
    assert not (run / "generated.json").exists() and not list(run.rglob("*.partial"))
    if stage == "generate":
        call("s2s generate app=nmt", cwd=folder)
        assert (run / "generated.json").is_file()
