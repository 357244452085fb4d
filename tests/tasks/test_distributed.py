"""Two processes that train one model, on CPU over gloo."""

from __future__ import annotations

import re
import shutil
import socket
from pathlib import Path

import pytest
import torch
from command_line import GENERATE, TRAIN, call, start


def train_by_two(data: Path, folder: Path, options: str) -> list[str]:
    """What each of two processes of fairseq-train printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = TRAIN.format(data=data, save_dir=folder) + (
        f" {options} --eval-metric bleu --best-checkpoint-metric bleu --maximize-best-checkpoint-metric "
        "--distributed-world-size 2 --distributed-no-spawn --distributed-backend gloo --ddp-backend legacy_ddp "
        f"--distributed-init-method tcp://127.0.0.1:{port} --distributed-rank"
    )
    with (folder / "0.log").open("wb") as first, (folder / "1.log").open("wb") as second:
        processes = [start(f"{command} {rank}", stdout=log, stderr=log) for rank, log in enumerate((first, second))]
        codes = [process.wait(300) for process in processes]
    outputs = [(folder / f"{rank}.log").read_text() for rank in range(2)]
    assert codes == [0, 0], outputs
    return outputs


@pytest.fixture(scope="module")
def trained_by_two(toy: Path, tmp_path_factory) -> tuple[Path, list[str]]:
    """Folder of checkpoints, and what each of the two processes printed."""
    folder = tmp_path_factory.mktemp("two")
    return folder, train_by_two(toy, folder, "--max-update 40")


def test_both_take_half_of_every_update(trained_by_two):
    """A batch's words are the sum over both."""
    folder, outputs = trained_by_two
    state = torch.load(folder / "checkpoint_last.pt", weights_only=True)
    assert state["optimizer_history"][-1]["num_updates"] == 40
    epochs = [int(epoch) for epoch in re.findall(r'"epoch": (\d+)', outputs[0])]
    assert max(epochs) >= 3  # one process alone would see 1.8 epochs in 40 updates


def test_the_metric_is_that_of_the_whole_set(trained_by_two, toy: Path):
    """Each process decodes half of the validation set; their sums make the corpus's BLEU."""
    folder, outputs = trained_by_two
    logged = float(re.findall(r'"valid_bleu": "([\d.]+)"', outputs[0])[-1])
    output = call(
        GENERATE.format(data=toy, path=folder / "checkpoint_last.pt")
        + " --gen-subset valid --scoring s2s_bleu --beam 1 --max-len-a 1.5 --max-len-b 10"
    ).stdout
    assert logged == pytest.approx(float(re.search(r"BLEU = ([\d.]+)", output)[1]), abs=0.02)


@pytest.mark.slow
def test_both_continue(trained_by_two, toy: Path, tmp_path: Path):
    """As conf/hardware/ddp.yaml says it; fairseq would send the checkpoint from one to the other, which torch
    refuses."""
    shutil.copy(trained_by_two[0] / "checkpoint_last.pt", tmp_path)
    outputs = train_by_two(toy, tmp_path, "--max-update 45 --load-checkpoint-on-all-dp-ranks")
    assert "checkpoint_last.pt (epoch" in outputs[0]
    state = torch.load(tmp_path / "checkpoint_last.pt", weights_only=True)
    assert state["optimizer_history"][-1]["num_updates"] == 45
