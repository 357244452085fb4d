"""Every command of README and docs runs, with less data and fewer updates, or at least composes."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import ROOT, call, write_reversed
from hydra import compose, initialize_config_dir
from media import make_items
from omegaconf import OmegaConf

from s2s_plugin.datasets.manifest import write_manifest
from s2s_plugin.stages import schema

schema.register()

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SMALL = "model=tiny subword.size=40 optimization.max_update=3 generation.max_len_a=0 generation.max_len_b=10"


def code_lines(page: Path) -> list[str]:
    """The lines of a page's code, fenced or indented, without comments."""
    text = page.read_text(encoding="utf-8")
    fenced = re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^    (\S.*)$", text, re.MULTILINE)
    return [line.split("  #")[0].strip() for line in [*"\n".join(fenced).splitlines(), *indented]]


COMMANDS = [
    line
    for page in PAGES
    for line in code_lines(page)
    if re.match(r"(make|echo|fairseq-\w+|s2s) ", line.replace(".venv/bin/", ""))
]


def commands(pattern: str) -> list[str]:
    found = sorted({command for command in COMMANDS if re.search(pattern, command)})
    assert found, f"no page has a command like {pattern}"
    return found


@pytest.mark.parametrize("command", commands(r"^make "))
def test_make_targets_exist(command: str):
    done = subprocess.run([*shlex.split(command), "--dry-run"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"\n{command.split()[1]} " in f"\n{shown}"


@pytest.mark.slow
def test_own_text(tmp_path: Path):
    write_reversed(tmp_path, {"my": 300}, ("en", "de"))
    for command in commands("^s2s run app=nmt name=mine data.source"):
        call(f"{command} {SMALL}", cwd=tmp_path)
    for command in commands(r"\| s2s translate app=nmt name=mine"):
        words, _, stage = command.partition(" | ")
        done = call(stage, cwd=tmp_path, stdin=shlex.split(words)[1] + "\n")
        assert len(done.stdout.splitlines()) == 1


@pytest.mark.slow  # trains
def test_own_recordings(tmp_path: Path):
    items = make_items(tmp_path / "folder", "audio", 60)
    write_manifest(tmp_path / "my.tsv", "audio", items)
    (tmp_path / "recording.wav").write_bytes(items[0].path.read_bytes())
    for command in commands("^s2s run app=asr name=mine"):
        call(f"{command} {SMALL} model.ctc=true subword.kind=char", cwd=tmp_path)
    for command in commands("^s2s transcribe .*name=mine"):
        done = call(command, cwd=tmp_path)
        assert len(done.stdout.splitlines()) == 61 and done.stdout.startswith("recording.wav\t")


def test_own_tables(tmp_path: Path):
    rows = [{"body": f"the text number {i}", "subject": f"der Text {i}"} for i in range(300)]
    (tmp_path / "my.csv").write_text("".join(f"{row['body']},{row['subject']}\n" for row in rows))
    (tmp_path / "my.jsonl").write_text("".join(f"{json.dumps({'id': 1, **row, 'x': 'a b'})}\n" for row in rows))
    (tmp_path / "deu.txt").write_text("".join(f"{row['body']}\t{row['subject']}\tCC BY\n" for row in rows))
    for command in commands(r"^s2s run app=\w+ name=mine data.pairs"):
        if "parquet" in command:
            parquet = pytest.importorskip("pyarrow.parquet")
            table = {"translation": [{"en": row["body"], "de": row["subject"]} for row in rows]}
            parquet.write_table(sys.modules["pyarrow"].table(table), tmp_path / "my.parquet")
        stage = "run" if command.endswith("my.csv") else "prepare"
        call(f"{command} {SMALL}".replace("run", stage, 1), cwd=tmp_path)
    for command in commands(r"^s2s translate app=nmt name=mine \""):
        assert len(call(command, cwd=tmp_path).stdout.splitlines()) == 1


def test_plain_fairseq_commands(tmp_path: Path):
    write_reversed(tmp_path, {"train": 200, "valid": 20, "test": 13}, ("de", "en"))
    for tool in ("preprocess", "train", "generate"):
        (command,) = commands(f"^fairseq-{tool}")
        command = command.replace("--user-dir s2s_plugin", f"--user-dir {ROOT / 's2s_plugin'}")
        done = call(re.sub(r"--max-update \d+", "--max-update 3 --cpu", command), cwd=tmp_path)
    assert len(re.findall(r"^H-", done.stdout, re.MULTILINE)) == 13


ROWS = re.findall(r"^\| [^|]+ \| (`.*`.*) \|$", (ROOT / "docs/options.md").read_text(encoding="utf-8"), re.MULTILINE)
OVERRIDES = [text for row in ROWS for text in re.findall(r"`([^`]+)`", row) if "=" in text and "run" not in text]
RUNS = [command.partition(" run ")[2] for command in commands("^s2s run") if " -m " not in command]


@pytest.mark.parametrize("overrides", [text for text in OVERRIDES if "-m " not in text] + RUNS)
def test_overrides_compose(overrides: str):
    words = shlex.split(overrides)
    app = [] if any(re.match("app=|experiment=", word) for word in words) else ["app=nmt"]
    words = [word for word in words if word not in ("--cfg", "job")]
    with initialize_config_dir(str(schema.CONF), version_base="1.3"):
        cfg = compose("s2s", overrides=[*app, *words])
    OmegaConf.resolve(cfg.model)
