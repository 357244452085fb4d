"""``s2s attention`` and ``s2s explain`` with a trained model."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import call
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from s2s_plugin.errors import UserError
from s2s_plugin.explain.attention import show_attention
from s2s_plugin.explain.explain import explain
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.inference.translator import load_translator
from s2s_plugin.utils.columns import width

LONG = " ".join("abcdefgh" * 5)


class Asking:
    """The two commands in this process."""

    def __init__(self, run: RunDir, capsys: pytest.CaptureFixture):
        self.run, self.capsys = run, capsys

    def config(self, **options: object) -> DictConfig:
        cfg = OmegaConf.load(self.run.config)
        cfg.task.data, cfg.workers = str(self.run.data), 1
        cfg.explain.update(options)
        return cfg

    def ask(self, command, *inputs: str, **options: object) -> list[str]:
        command(self.config(**options), self.run, inputs)
        return self.capsys.readouterr().out.splitlines()

    def values(self, command, *inputs: str, **options: object) -> list[dict]:
        return [json.loads(line) for line in self.ask(command, *inputs, json=True, **options)]


@pytest.fixture
def asking(small_model: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Asking:
    monkeypatch.chdir(small_model)
    return Asking(RunDir(small_model / "runs/nmt/default"), capsys)


def test_the_attention_of_each_sentence(asking: Asking):
    lines = asking.ask(show_attention, "a b c d", "", LONG)
    assert max(map(width, lines)) <= 80 and lines[0].startswith("rows: output tokens")
    assert lines[2] == "  source      a b c d" and lines[3].startswith("  hypothesis  ")
    assert lines[5].split() == ["▁a", "▁b", "▁c", "▁d", "</s>"]
    (values,) = asking.values(show_attention, "a b c d")
    weights = np.array(values["attention"])
    assert weights.shape == (len(values["target_tokens"]), 5)
    assert np.allclose(weights.sum(1), 1, atol=1e-3)
    for line, token, row in zip(lines[6:], values["target_tokens"], weights, strict=False):
        assert line.split()[0] == token
        assert ("█" in line) == (row.max() >= 0.75)


def test_an_output_that_is_given(asking: Asking, monkeypatch: pytest.MonkeyPatch):
    """Its weights, and its probabilities, are those of the model when it is led along it."""
    own, given = asking.values(explain, "a b c d", "a b c d\tD A")
    assert not own["given"] and given["given"] and given["output"] == "D A"
    (again,) = asking.values(explain, f"a b c d\t{own['output']}")
    assert again["attention"] == own["attention"] and again["log_probs"] == own["log_probs"]
    assert again["score"] == pytest.approx(own["score"], abs=1e-4)
    assert given["score"] == pytest.approx(sum(given["log_probs"]) / 3, abs=1e-3)
    assert given["score"] < own["score"]
    reading, writing = os.pipe()
    os.write(writing, b"a b c d\tD A\n\na b c d\n")
    os.close(writing)
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        piped = asking.values(show_attention)
    assert [value["attention"] for value in piped] == [given["attention"], own["attention"]]


def test_pictures_of_the_report(asking: Asking, tmp_path: Path):
    asking.ask(show_attention, "a b", "c d e f", png=str(tmp_path / "map.png"))
    sizes = [Image.open(tmp_path / name).size for name in ("map.png", "map-2.png")]
    assert sizes[0][1] < sizes[1][1]


def test_the_rivals_of_the_beam(asking: Asking):
    (values,) = asking.values(explain, "a b c d", rivals=9)
    cfg = asking.config()
    best, *others = load_translator(cfg, asking.run).candidates(["a b c d"])[0]
    assert [each["output"] for each in values["rivals"]] == [each.text for each in others]
    for rival, other in zip(values["rivals"], others, strict=True):
        place = rival["place"]
        assert values["target_tokens"][:place] == list(other.target_tokens[:place])
        assert (rival["token"], rival["own_token"]) == (other.target_tokens[place], best.target_tokens[place])
        assert rival["own_probability"] == pytest.approx(math.exp(values["log_probs"][place]), abs=1e-3)
        assert rival["score"] <= values["score"] + 1e-4
    lines = asking.ask(explain, "a b c d", rivals=1)
    assert f"not {others and values['rivals'][0]['own_token']}" in "\n".join(lines)


def test_the_nearest_training_pairs(asking: Asking, small_model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    text = small_model / RunDir(asking.run.folder).read_settings()["task.data"] / "text"
    sources, targets = ((text / f"train.{side}").read_text().splitlines() for side in ("en", "de"))
    (values,) = asking.values(explain, sources[7], neighbors=4)
    first, *others = values["neighbors"]
    assert first["source"] == sources[7] and first["similarity"] == 1 and len(others) == 3
    for each in values["neighbors"]:
        assert (each["source"], each["target"]) == (sources[each["line"] - 1], targets[each["line"] - 1])
    assert [each["similarity"] for each in values["neighbors"]] == sorted(
        (each["similarity"] for each in values["neighbors"]), reverse=True
    )
    monkeypatch.chdir(tmp_path)  # where there is no data-bin
    assert asking.values(explain, "a b")[0]["neighbors"] is None
    assert "not known: the training text is gone" in "\n".join(asking.ask(explain, "a b"))
    assert asking.values(explain, "a b", neighbors=0)[0]["neighbors"] is None


def test_an_explanation_in_80_columns(asking: Asking):
    lines = asking.ask(explain, "a b c d", f"{LONG}\tH", neighbors=1)
    assert max(map(width, lines)) <= 80
    (values,) = asking.values(explain, "a b c d")
    start = lines.index(next(line for line in lines if line.startswith("  output token")))
    lost = np.array(values["leave_one_out"], dtype=float)
    for line, token, row in zip(lines[start + 1 :], values["target_tokens"], lost, strict=False):
        place = int(np.nanargmax(abs(row)))
        assert line.split()[0] == token and line.split()[-2] == values["source_tokens"][place]
        assert float(line.split()[-1]) == pytest.approx(row[place], abs=0.006)
    sums = next(line for line in lines if line.startswith("  ▁a "))
    assert float(sums.split()[-1]) == pytest.approx(lost[:, 0].sum(), abs=0.01)


def test_what_cannot_be_read_is_named_at_the_end(asking: Asking, tmp_path: Path):
    (tmp_path / "bad").write_bytes(b"a b\ncaf\xe9\n")
    with pytest.raises(UserError, match="1 of the inputs could not be used"):
        asking.ask(show_attention, str(tmp_path / "bad"))
    cfg = asking.config()
    cfg.generation.constraints = "ordered"
    with pytest.raises(UserError, match=r"generation\.constraints is not for s2s attention"):
        explain(cfg, asking.run, ["a"])


def test_a_model_without_attention(small_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    run = RunDir(tmp_path / "run")
    shutil.copytree(small_model / "runs/nmt/default", run.folder)
    asking = Asking(run, capsys)
    task = load_translator(asking.config(), run).task
    state = torch.load(run.best_checkpoint(), weights_only=True)
    state["cfg"]["model"]["attention"] = "none"
    state["model"] = task.build_model(OmegaConf.create(state["cfg"]["model"])).state_dict()
    torch.save(state, run.best_checkpoint())
    with pytest.raises(UserError, match=r"has model\.attention=none: there are no weights to show; s2s explain shows"):
        asking.ask(show_attention, "a b")
    lines = asking.ask(explain, "a b", neighbors=0)
    assert "  model.attention=none: there are no attention weights" in lines
    assert asking.values(explain, "a b", neighbors=0)[0]["attention"] is None


def test_from_the_command_line(small_model: Path):
    words = ["app=nmt", "explain.json=true"]
    shown = call(["s2s", "attention", "a b", "b = c", *words], small_model)
    assert [json.loads(line)["source"] for line in shown.stdout.splitlines()] == ["a b", "b = c"]
    assert shown.stderr == "b = c: not in the vocabulary: =\n"
    explained = call(["s2s", "explain", *words[1:]], small_model, stdin="a b\n")  # app=nmt, if none is named
    assert json.loads(explained.stdout)["source"] == "a b"
    failed = call(["s2s", "attention", "app=nmt", "missing.txt"], small_model, check=False)
    assert failed.returncode == 2 and "there is no such file" in failed.stderr
