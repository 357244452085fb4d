"""Hostile and damaged checkpoints and configs: nothing runs, nothing is resolved, each ends in one line."""

from __future__ import annotations

import os
import re
import shutil
import time
import zipfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
import torch
import yaml
from command_line import call, call_process
from hostile import (
    CANARY,
    changed,
    damaged,
    hostile_configs,
    hostile_pickles,
    hostile_states,
    hostile_training_states,
    rezipped,
)

from s2s_plugin.cli import main
from s2s_plugin.errors import UserError
from s2s_plugin.stages.schema import load_config, register
from s2s_plugin.tasks.checkpoint import load_model
from s2s_plugin.utils.checkpoint import load_plain
from s2s_plugin.utils.untrusted import load_yaml, show

COMMANDS = {
    "translate": "translate app=nmt",
    "generate": "generate app=nmt search=greedy",
    "score": "score app=nmt perplexity=true",
    "finetune": "run {settings} name=tuned finetune_from=default",
    "resume": "train {settings} optimization.max_update=151",
}


@pytest.fixture
def run(small_model: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, in the folder that it is called from."""
    shutil.copytree(small_model, tmp_path / "own", dirs_exist_ok=True, symlinks=True)
    return tmp_path / "own/runs/nmt/default"


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that only executed code creates."""
    return tmp_path / "canary"


def refusal(use: Callable[[], object]) -> str | None:
    """What is wrong with how an input is refused: None if by one printable line, and soon."""
    began = time.monotonic()
    try:
        use()
    except UserError as error:
        message = str(error)
        if "\n" in message or len(message) > 1000 or not message.isprintable():
            return f"message {message!r}"
        return None if time.monotonic() - began < 20 else f"{time.monotonic() - began} s"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"[:300]
    return "accepted"


A_FIFTH_OR_ALL = pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.slow)])


@A_FIFTH_OR_ALL
def test_hostile_checkpoints(trained: Path, toy: Path, canary: Path, tmp_path: Path, capsys, step: int):
    path, problems, count = tmp_path / "checkpoint_best.pt", {}, 0
    load_model(trained, toy)
    states = hostile_states(torch.load(trained, weights_only=True), canary)
    for name, state in islice(states, 0, None, step):
        torch.save(state, path)
        count += 1
        if (problem := refusal(lambda: load_model(path, toy))) is not None:
            problems[name] = problem
        code, stderr = main(["average", str(path), "--to", str(tmp_path / "mean.pt")]), capsys.readouterr().err
        (tmp_path / "mean.pt").unlink(missing_ok=True)  # it is of weights alone, so a config of another model may pass
        if code not in (0, 2) or stderr.count("\n") != (code == 2) or "Traceback" in stderr:
            problems[f"average {name}"] = f"{code}: {stderr}"
    assert not problems and not canary.exists()
    assert count > 100 / step


def test_hostile_pickles_and_archives(trained: Path, canary: Path, tmp_path: Path):
    path, content = tmp_path / "checkpoint_best.pt", trained.read_bytes()
    inputs = {name: rezipped(content, data) for name, data in hostile_pickles(canary)}
    inputs |= {f"plain {name}": data for name, data in hostile_pickles(canary)}
    inputs |= {"compressed": rezipped(content, compression=zipfile.ZIP_DEFLATED), "before": b"x" + content}
    problems = {}
    for name, data in inputs.items():
        path.write_bytes(data)
        problems[name] = refusal(lambda: load_plain(path))
    assert not {name: problem for name, problem in problems.items() if problem} and not canary.exists()
    assert len(inputs) >= 30


def test_damaged_checkpoints(trained: Path, toy: Path, tmp_path: Path):
    path, content = tmp_path / "checkpoint_best.pt", trained.read_bytes()
    problems = {}
    for name, data in damaged(content):
        path.write_bytes(data)
        problems[name] = refusal(lambda: load_model(path, toy))
    assert not {name: problem for name, problem in problems.items() if problem}
    assert len(problems) >= 45


def special_files(folder: Path) -> list[Path]:
    """A FIFO, a device, a folder, links to each, a loop and nothing."""
    fifo, loop, inside = folder / "fifo.pt", folder / "loop.pt", folder / "folder.pt"
    os.mkfifo(fifo)
    inside.mkdir()
    loop.symlink_to(folder / "loop2.pt")
    (folder / "loop2.pt").symlink_to(loop)
    targets = {
        "fifo": fifo,
        "zero": Path("/dev/zero"),
        "folder": inside,
        "stdin": Path("/dev/tty"),
        "none": folder / "-",
    }
    for name, target in targets.items():
        (folder / f"to_{name}.pt").symlink_to(target)
    return [fifo, inside, loop, Path("/dev/zero"), Path("/dev/urandom"), folder / "none", *folder.glob("to_*.pt")]


def test_no_fifo_device_or_folder_is_opened(tmp_path: Path):
    files = special_files(tmp_path)
    for path in files:
        for load in (load_plain, load_yaml):
            assert refusal(lambda load=load, path=path: load(path)) is None, path
    assert len(files) == 11


@A_FIFTH_OR_ALL
def test_hostile_configs(run: Path, canary: Path, capsys, step: int):
    register()
    path, problems, count = run / "config.yaml", {}, 0
    saved = yaml.safe_load(path.read_text())
    assert load_config(path) == saved
    for name, text in islice(hostile_configs(saved, canary), 0, None, step):
        path.write_text(text)
        count += 1
        if (problem := refusal(lambda: load_config(path))) is not None:
            problems[name] = problem
    assert not problems and not canary.exists()
    assert count > 40 / step


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_refuse_a_checkpoint_that_names_code(run: Path, canary: Path, small_settings: str, command: str):
    """``left_pad_source`` is the string that fairseq would evaluate."""
    code = CANARY.format(path=canary)
    for path in (run / "checkpoints").iterdir():
        state = torch.load(path, weights_only=True)
        task = {"_name": "multilingual_translation", "task": "multilingual_translation", "left_pad_source": code}
        torch.save(changed(state, "task", **task), path)
    assert_refused(run, COMMANDS[command].format(settings=small_settings), "task must be a part of s2s, got 'multiling")
    assert not canary.exists()


def test_a_damaged_state_of_the_training(run: Path, small_settings: str):
    """Decoding does not read it; a training that goes on ends in one line and leaves it as it was."""
    path, problems = run / "checkpoints/checkpoint_last.pt", []
    for name, state in hostile_training_states(torch.load(path, weights_only=True)):
        torch.save(state, path)
        before = path.read_bytes()
        done = call(f"s2s train {small_settings} optimization.max_update=151", cwd=run.parents[2], check=False)
        line = done.stderr.splitlines()[-1]
        if done.returncode != 2 or "Traceback" in done.stderr or not line.startswith("s2s: error: "):
            problems.append((name, done.stderr[-600:]))
        assert path.read_bytes() == before, name
    assert not problems


@pytest.mark.parametrize("command", ["translate", "generate", "score", "report", "finetune"])
def test_commands_refuse_a_config_that_names_code(run: Path, canary: Path, small_settings: str, command: str):
    saved = yaml.safe_load((run / "config.yaml").read_text())
    task = {"_name": "multilingual_translation", "left_pad_source": CANARY.format(path=canary)}
    (run / "config.yaml").write_text(yaml.safe_dump({**saved, "task": {**saved["task"], **task}}))
    words = {**COMMANDS, "report": "report app=nmt"}[command].format(settings=small_settings)
    assert_refused(run, words, "config.yaml: task must be a part of s2s, got 'multilingual_translation'")
    assert not canary.exists()


def test_commands_notice_a_flipped_bit_and_a_fifo(run: Path, small_settings: str):
    best = run / "checkpoints/checkpoint_best.ema.pt"
    content = bytearray(best.read_bytes())
    content[len(content) // 2] ^= 1
    best.write_bytes(content)
    assert_refused(run, COMMANDS["translate"], "the checksum of")
    best.unlink()
    os.mkfifo(best)
    assert_refused(run, COMMANDS["generate"], "a checkpoint must be a regular file")
    (run / "config.yaml").unlink()
    os.mkfifo(run / "config.yaml")
    assert_refused(run, "report app=nmt", "a config must be a regular file")


def assert_refused(run: Path, words: str, message: str) -> None:
    done = call(f"s2s {words}", cwd=run.parents[2], stdin="a b c\n", check=False, timeout=100)
    errors = [line for line in done.stderr.splitlines() if line.startswith("s2s: error: ")]
    assert done.returncode == 2 and len(errors) == 1 and "Traceback" not in done.stderr, done.stderr
    assert message in errors[0]


def test_a_stored_interpolation_reveals_nothing(run: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("S2S_SECRET", "hunter2")
    saved = yaml.safe_load((run / "config.yaml").read_text())
    saved["scoring"]["sacrebleu_tokenizer"] = "${oc.env:S2S_SECRET}"
    (run / "config.yaml").write_text(yaml.safe_dump(saved))
    done = call_process("s2s score app=nmt", cwd=run.parents[2], check=False)
    assert done.returncode == 2 and "interpolations are not resolved" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout


def test_a_shard_next_to_the_checkpoint_is_not_read_in_its_place(run: Path):
    (run / "checkpoints/checkpoint_best.ema-shard0.pt").write_bytes(b"hostile")
    assert_refused(run, COMMANDS["generate"], "fairseq would read it in place of checkpoint_best.ema.pt")


def test_values_are_shown_on_one_line():
    assert show("\x1b[31m\n\u202e") == r"'\x1b[31m\n\u202e'"
    assert show("x" * 10**6).endswith("...") and len(show("x" * 10**6)) < 70
    assert show(10**5000) == "an integer of 16610 bits"
    assert re.fullmatch(r"a \w+", show({"a": 1}))
