"""Every command in the README runs, with less data and fewer updates."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from command_line import BIN, ROOT, call, write_reversed
from hydra import compose, initialize_config_dir
from media import make_items
from omegaconf import OmegaConf

from s2s_plugin.datasets.manifest import write_manifest
from s2s_plugin.stages import schema as config

config.register()

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.split("  #")[0].strip()
    for block in re.findall(r"^```\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if re.match(r"(make|echo|fairseq-\w+|\S*s2s) ", line)
]
SMALL = "model=tiny subword.size=40 optimization.max_update=3"


def commands(pattern: str) -> list[str]:
    found = [command for command in COMMANDS if re.search(pattern, command)]
    assert found, f"README has no command like {pattern}"
    return found


@pytest.mark.parametrize("command", commands(r"^make "))
def test_make_targets_exist(command: str):
    done = subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"\n{command.split()[1]} " in "\n" + call_make_help()


def call_make_help() -> str:
    return subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_own_text(tmp_path: Path):
    write_reversed(tmp_path, {"my": 300}, ("en", "de"))
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(BIN)
    for command in commands("s2s run app=nmt"):
        call(command.replace(".venv/bin/", "").replace("from=default", "from=mine") + f" {SMALL}", cwd=tmp_path)
    for command in commands("s2s translate"):
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0 and len(done.stdout.splitlines()) == 1, done.stderr


def test_own_recordings(tmp_path: Path):
    items = make_items(tmp_path / "folder", "audio", 60)
    write_manifest(tmp_path / "my.tsv", "audio", items)
    (tmp_path / "recording.wav").write_bytes(items[0].path.read_bytes())
    for command in commands("s2s run app=asr"):
        call(command.replace(".venv/bin/", "") + f" {SMALL} model.ctc=true subword.kind=char", cwd=tmp_path)
    for command in commands("s2s transcribe"):
        done = call(command.replace(".venv/bin/", ""), cwd=tmp_path)
        assert len(done.stdout.splitlines()) == 61 and done.stdout.startswith("recording.wav\t")


def test_plain_fairseq_commands(tmp_path: Path):
    write_reversed(tmp_path, {"train": 200, "valid": 20, "test": 13}, ("de", "en"))
    for command in commands("^fairseq-"):
        command = command.replace("--user-dir s2s_plugin", f"--user-dir {ROOT / 's2s_plugin'}")
        done = call(re.sub(r"--max-update \d+", "--max-update 3 --cpu", command), cwd=tmp_path)
    assert len(re.findall(r"^H-", done.stdout, re.MULTILINE)) == 13


TABLE = re.findall(r"^\| [^|]+ \| (`.*`.*) \|$", README, re.MULTILINE)
OVERRIDES = [text for row in TABLE for text in re.findall(r"`([^`]+)`", row) if "=" in text and "run" not in text]


@pytest.mark.parametrize("overrides", [text for text in OVERRIDES if "-m " not in text])
def test_overrides_compose(overrides: str):
    with initialize_config_dir(str(config.CONF), version_base="1.3"):
        cfg = compose("s2s", overrides=["app=nmt", *shlex.split(overrides)])
    OmegaConf.resolve(cfg.model)


def test_the_tree_is_the_one_there_is():
    tree = README.split("## What is where")[1].split("```")[1]
    folder = Path()
    for line in filter(None, tree.splitlines()):
        names = re.split(r"\s{2,}", line.strip())[0].split()
        for name in names:
            path = Path(name) if not line.startswith(" ") else folder / name
            assert (ROOT / path).exists(), path
        if not line.startswith(" "):
            folder = Path(names[0])
