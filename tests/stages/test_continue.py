"""``s2s run app=APP name=NAME`` goes on with the settings of that run; what is named anew changes or is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from command_line import call
from mistakes import mistake
from own_run import overrides


@pytest.fixture
def copy(finished, tmp_path: Path) -> Path:
    shutil.copytree(finished[0], tmp_path / "copy")
    return tmp_path / "copy"


def config(folder: Path) -> dict:
    return yaml.safe_load((folder / "runs/nmt/default/config.yaml").read_text(encoding="utf-8"))


def last(folder: Path) -> dict:
    return torch.load(folder / "runs/nmt/default/checkpoints/checkpoint_last.pt", weights_only=True)


def test_the_name_is_enough(copy: Path):
    before = config(copy)
    done = call("s2s run app=nmt", cwd=copy)
    assert done.stderr.count("up to date, skipping") == 3 and config(copy) == before
    assert before["model"]["decoder_hidden_size"] == 64 and before["data"]["name"] == "files"


def test_length_and_what_follows_it_change(copy: Path, own_files: Path, tmp_path: Path):
    """As if everything had been said again; also where the files have gone that the data was made from."""
    again = tmp_path / "again"
    shutil.copytree(copy, again)
    call(f"s2s train {overrides(own_files)} optimization.max_update=80", cwd=again)
    path = copy / "runs/nmt/default/config.yaml"
    text = path.read_text().replace(str(own_files), "/gone")
    path.write_text(text.partition("\n")[2])  # without the checksum
    done = call("s2s train app=nmt optimization.max_update=80", cwd=copy)
    assert "continues after 60 updates" in done.stderr
    assert "optimization.max_update: 60 so far, 80 from now on" in done.stderr
    states = [last(folder) for folder in (copy, again)]
    assert states[0]["cfg"]["lr_scheduler"]["total_num_update"] == 80
    assert states[0]["optimizer_history"][-1]["num_updates"] == 80
    assert all(torch.equal(weight, states[1]["model"][name]) for name, weight in states[0]["model"].items())
    shorter = "s2s train app=nmt optimization.max_update=70"
    mistake(copy, shorter, "optimization.max_update=80, which may only grow, now it is 70", "name=")


def test_batches_and_workers_change(copy: Path):
    """Stopped within an epoch, which has fewer batches than that from now on."""
    call("s2s train app=nmt optimization.max_update=63", cwd=copy)
    assert last(copy)["extra_state"]["train_iterator"]["iterations_in_epoch"] > 1
    options = "dataset.max_tokens=100000 dataset.num_workers=1 optimization.max_update=65"
    done = call(f"s2s train app=nmt {options}", cwd=copy)
    assert "dataset.max_tokens: 500 so far, 100000 from now on" in done.stderr
    now = config(copy)
    assert now["dataset"]["max_tokens_valid"] == 100000 and now["dataset"]["num_workers"] == 1
    assert last(copy)["optimizer_history"][-1]["num_updates"] == 65
    trained = json.loads((copy / "runs/nmt/default/settings.json").read_text())
    assert trained["dataset.max_tokens"] == 100000 and trained["model.dropout"] == 0.1


REFUSED = {
    "model.dropout=0.25": ("model.dropout=0.1", "now it is 0.25"),
    "optimization.lr=[0.001]": ("optimization.lr=[0.01]", "now it is [0.001]"),
    "model=luong": ("model.", "now it is"),
    "checkpoint_metric=loss": ('checkpoint_metric="bleu"', 'now it is "loss"'),
    "data=ding": ('data.name="files"', 'now it is "ding"'),
    "subword.size=41": ("subword.size=40", "now it is 41"),
    "experiment=multi30k name=default": ("was trained with", "now it is"),
    "schedule=by_updates": ("dataset.validate_interval", "now it is"),
    "common.seed=2": ("common.seed=1", "now it is 2"),
    "average=3 ema=off": ("was trained with", "now it is"),
    "finetune_from=other": ("finetune_from=other", "no run"),
}


def test_other_changes_need_another_name(finished):
    before = config(finished[0])
    for options, words in REFUSED.items():
        mistake(finished[0], f"s2s run app=nmt {options}", *words, *(["name="] if "now it is" in words[1] else []))
    assert config(finished[0]) == before


def test_changed_files_need_another_name(copy: Path, own_files: Path, tmp_path: Path):
    mine = tmp_path / "mine"
    shutil.copytree(own_files, mine)
    for stage in ("prepare", "train"):
        call(f"s2s {stage} {overrides(mine, 'mine')} optimization.max_update=2", cwd=tmp_path)
    for lang in ("en", "de"):
        with (mine / f"letters.{lang}").open("a") as file:
            file.write("a b c\n" if lang == "en" else "C B A\n")
    mistake(tmp_path, "s2s run app=nmt name=mine", "task.data=", "name=")
