"""A checkpoint whose model has changed since: one line that names the file, the parameters and what to do."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from command_line import call
from omegaconf import OmegaConf

from s2s_plugin.errors import UserError
from s2s_plugin.stages.average import validate
from s2s_plugin.stages.score import perplexity
from s2s_plugin.tasks.checkpoint import load_model

RENAMED, NEW, BIAS = "decoder.rnn.combine.weight", "decoder.rnn.mix.weight", "decoder.generator.output.bias"


def change(path: Path) -> None:
    """Write the checkpoint that a model with one parameter renamed and one of another shape would have left."""
    state = torch.load(path, weights_only=True)
    state["model"][NEW] = state["model"].pop(RENAMED)
    state["model"][BIAS] = state["model"][BIAS][:-1].clone()
    torch.save(state, path)


@pytest.fixture(scope="module")
def folder(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose model's code has changed since."""
    folder = tmp_path_factory.mktemp("changed")
    shutil.copytree(small_model, folder, dirs_exist_ok=True)
    for path in folder.rglob("checkpoint_*.pt"):
        change(path)
    return folder


def assert_explained(message: str) -> None:
    assert "\n" not in message.strip()
    assert "checkpoint_" in message and ".pt: its parameters do not fit the model" in message
    assert (
        f"missing (1): {RENAMED}; unexpected (1): {NEW}; of another shape (1): {BIAS}, [36] instead of [37]" in message
    )
    assert "train again" in message


COMMANDS = {
    "translate": "translate app=nmt",
    "generate": "generate app=nmt search=greedy",
    "resume": "train {settings} optimization.max_update=151",
    "finetune": "run {settings} name=tuned finetune_from=default",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_end_in_one_line(folder: Path, small_settings: str, command: str):
    words = COMMANDS[command].format(settings=small_settings)
    done = call(f"s2s {words}", cwd=folder, stdin="a b c\n", check=False)
    errors = [line for line in done.stderr.splitlines() if line.startswith("s2s: error: ")]
    assert done.returncode == 2 and len(errors) == 1 and "Traceback" not in done.stderr, done.stderr
    assert_explained(errors[0])


def test_validation_of_an_average_and_perplexity_too(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    run = folder / "runs/nmt/default"
    cfg, best = OmegaConf.load(run / "fairseq.yaml"), run / "checkpoints/checkpoint_best.pt"
    uses: list[Callable[[], object]] = [lambda: validate(cfg, best), lambda: perplexity(best, cfg.task.data, "test")]
    for use in uses:
        with pytest.raises(UserError) as error:
            use()
        assert_explained(str(error.value))


def test_load_model_gives_the_saved_parameters(trained: Path, toy: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)  # the import takes longer than the rest
    model, _, task = load_model(trained, toy)
    saved = torch.load(trained, weights_only=True)["model"]
    assert saved.keys() == model.state_dict().keys()
    assert all(torch.equal(value, saved[name]) for name, value in model.state_dict().items())
    assert task.cfg.data == str(toy)
