"""The mean of several checkpoints: by hand with ``s2s average``, and at the end of a training with ``average=N``."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import torch
from command_line import BIN, GENERATE, ROOT, call
from omegaconf import OmegaConf

from s2s_plugin.errors import UserError
from s2s_plugin.inference.run_dir import AVERAGE, RunDir
from s2s_plugin.stages import average

RECIPE = (
    "model=tiny model.share_all_embeddings=true subword.size=40 dataset.max_tokens=500 optimization.max_update=60 "
    "optimization.lr=[0.01] lr_scheduler.warmup_updates=20 average=3"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, own_files: Path) -> tuple[Path, str, str]:
    """A finished run: the folder it was called in, its overrides, what it said."""
    folder = tmp_path_factory.mktemp("average")
    files = f"data=files data.source={own_files}/letters.en data.target={own_files}/letters.de"
    overrides = f"app=nmt {files} {RECIPE} checkpoint_metric=loss"
    return folder, overrides, call(f"s2s run {overrides}", cwd=folder).stderr


def load(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def assert_mean(mean: dict, parts: list[dict]) -> None:
    """Of the weights, computed here in another way; and there is no optimizer."""
    assert mean["model"].keys() == parts[0]["model"].keys()
    for name, value in mean["model"].items():
        tensors = torch.stack([part["model"][name] for part in parts])
        assert value.dtype == tensors.dtype
        if value.is_floating_point():
            torch.testing.assert_close(value, tensors.mean(0), rtol=0, atol=1e-6)
        else:
            assert torch.equal(value, tensors[-1])
    assert mean["last_optimizer_state"] is None


def test_the_best_are_averaged_if_that_is_better(run: tuple[Path, str, str]):
    folder, _, said = run
    checkpoints = folder / "runs/nmt/default/checkpoints"
    kept = sorted(checkpoints.glob("checkpoint.best_loss_*.pt"), reverse=True)
    losses = [load(path)["extra_state"]["val_loss"] for path in kept]
    records = (folder / "runs/nmt/default/log.txt").read_text()
    assert losses[::-1] == pytest.approx(sorted(map(float, re.findall(r'"valid_loss": "([\d.]+)"', records)))[:3])

    found = re.search(
        r"average of 3 checkpoints: valid loss ([\d.]+), the best of them ([\d.]+): (kept|discarded)", said
    )
    mean, best, taken = float(found[1]), float(found[2]), found[3] == "kept"
    assert best == min(losses) and taken == (mean <= best)
    assert json.loads((folder / "runs/nmt/default/trained.json").read_text())["best"] == min(mean, best)
    used = "checkpoint_average.pt" if taken else "checkpoint_best.pt"
    assert json.loads((folder / "runs/nmt/default/scores.json").read_text())["checkpoint"] == used
    assert f"checkpoints/{used} " in (folder / "runs/nmt/default/commands.txt").read_text()
    assert (checkpoints / "checkpoint_average.pt").is_file() == taken and not list(folder.rglob("*.partial"))


@pytest.mark.filterwarnings("ignore:'pin_memory'")  # fairseq's iterator always asks for it
def test_it_is_left_where_it_is_worse(run: tuple[Path, str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Both ways, whatever the training came to; and validation is the one in the loop."""
    monkeypatch.chdir(run[0])
    shutil.copytree(run[0] / "runs/nmt/default/checkpoints", tmp_path / "checkpoints")
    cfg, out = OmegaConf.load(run[0] / "runs/nmt/default/fairseq.yaml"), tmp_path / "checkpoints" / AVERAGE
    best = tmp_path / "checkpoints" / "checkpoint_best.pt"
    assert average.validate(cfg, best) == load(best)["extra_state"]["val_loss"]
    out.unlink(missing_ok=True)
    assert average.average_best(cfg, RunDir(tmp_path), 3, best=0.5) == 0.5
    assert not out.exists()
    assert average.average_best(cfg, RunDir(tmp_path), 3, best=99.0) == average.validate(cfg, out) < 99
    kept = sorted(out.parent.glob("checkpoint.best_loss_*.pt"))
    assert_mean(load(out), [load(path) for path in kept])
    assert average.average_best(cfg, RunDir(tmp_path), 2, best=99.0) == average.validate(cfg, out)
    assert_mean(load(out), [load(path) for path in kept[:2]])


def test_by_hand(run: tuple[Path, str, str]):
    folder = run[0]
    kept = sorted((folder / "runs/nmt/default/checkpoints").glob("checkpoint.best_loss_*.pt"))
    out = folder / "mean.pt"
    command = next(line for line in run[2].replace("\\\n", "").splitlines() if "$ s2s average" in line).split()[1:-1]
    said = call([*command, str(out)], cwd=folder).stdout
    assert said.startswith(f"{out}: the mean of 3")
    assert_mean(load(out), [load(path) for path in kept])
    data = load(out)["cfg"]["task"]["data"]
    words = GENERATE.format(data=data, path=out).replace("s2s_plugin", str(ROOT / "s2s_plugin"))
    output = call(words, cwd=folder).stdout
    assert (
        len(re.findall(r"^H-", output, re.MULTILINE))
        == len((folder / data / "text/test.en").read_text().split("\n")) - 1
    )


@pytest.mark.slow
def test_stopped_and_continued_it_is_the_same(run: tuple[Path, str, str], tmp_path: Path):
    folder, overrides, _ = run
    call(f"s2s prepare {overrides}", cwd=tmp_path)
    command = ["s2s", "train", *overrides.split()]
    process = subprocess.Popen([str(BIN / command[0]), *command[1:]], cwd=tmp_path, stderr=subprocess.DEVNULL)
    own, deadline = tmp_path / "runs/nmt/default/checkpoints", time.monotonic() + 120
    while len(list(own.glob("checkpoint.best_*"))) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    process.kill()
    process.wait()
    assert not (tmp_path / "runs/nmt/default/trained.json").exists()
    call(command, cwd=tmp_path)
    whole = folder / "runs/nmt/default/checkpoints"
    assert {path.name for path in own.iterdir()} == {path.name for path in whole.iterdir()}
    assert all(
        torch.equal(value, load(whole / path.name)["model"][name])
        for path in own.iterdir()
        for name, value in load(path)["model"].items()
    )


@pytest.mark.slow
def test_mistakes_are_one_line(run: tuple[Path, str, str], tmp_path: Path):
    folder, overrides, _ = run
    best, out = folder / "runs/nmt/default/checkpoints/checkpoint_best.pt", tmp_path / "out.pt"
    (tmp_path / "broken.pt").write_bytes(b"no checkpoint")
    torch.save({"a": 1}, tmp_path / "other.pt")
    bias = "decoder.generator.output.bias"
    state = load(best)
    torch.save({**state, "model": {**state["model"], bias: torch.zeros(1)}}, tmp_path / "small.pt")
    del state["model"][bias]
    torch.save(state, tmp_path / "without.pt")
    for words, message in (
        (f"{best} {tmp_path}/none.pt --to {out}", "none.pt: no such checkpoint"),
        (f"{tmp_path}/broken.pt --to {out}", "not a readable checkpoint"),
        (f"{tmp_path}/other.pt --to {out}", "not a fairseq checkpoint"),
        (f"{best} {tmp_path}/small.pt --to {out}", f"small.pt is of another model than {best}: they differ in {bias}"),
        (f"{best} {tmp_path}/without.pt --to {out}", f"differ in {bias}"),
        (f"{best} --to {best}", "exists: name another"),
        (f"{best} --to /proc/none/out.pt", "cannot be written"),
    ):
        with pytest.raises(UserError, match=re.escape(message)):
            average.run(words.split())
        assert not out.exists() and not list(tmp_path.rglob("*.partial"))
    for words in (
        f"average {best} {tmp_path}/small.pt --to {out}",
        f"train {overrides} average=1 name=new",
        f"train {overrides} ema.store_ema=true name=new",
    ):
        done = call(f"s2s {words}", cwd=folder, check=False)
        assert done.returncode == 2 and done.stderr.startswith("s2s: error: ") and done.stderr.count("\n") == 1


def test_usage(capsys: pytest.CaptureFixture[str]):
    for words in ([], ["--to", "x.pt"], ["a.pt", "b.pt"], ["a.pt", "--to"]):
        with pytest.raises(SystemExit, match="2"):
            average.run(words)
        assert capsys.readouterr().err.startswith("usage: s2s average [-h] --to FILE CHECKPOINT")
