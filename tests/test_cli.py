"""The command line: help, listing, completion, suggestions."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from command_line import BIN, call
from hydra import compose, initialize_config_dir

import s2s_plugin
from s2s_plugin import cli
from s2s_plugin.cli import listing
from s2s_plugin.cli.commands import COMMANDS
from s2s_plugin.cli.help import outline, stage_help
from s2s_plugin.cli.suggest import did_you_mean_option
from s2s_plugin.stages import schema

schema.register()


def test_version():
    assert call("s2s --version").stdout == f"s2s {s2s_plugin.__version__}\n"


def test_outline_names_every_stage_in_80_columns():
    assert all(f"\n  {name} " in outline() for name in COMMANDS)
    assert max(map(len, outline().splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_stage(name: str):
    with initialize_config_dir(str(schema.CONF), version_base="1.3"):
        text = stage_help(name, compose("s2s", overrides=["app=asr"]))
    assert text.startswith(f"usage: s2s {name} ") and f"\n  {COMMANDS[name].examples[0]}\n" in text
    for option in COMMANDS[name].options:
        shown = option in ("video", "image") or f"\n  {option}" in text  # frontends of other apps are left out
        assert shown, option


def test_help_shows_the_defaults_of_the_app():
    text = call("s2s train --help app=g2p").stdout
    assert "with the defaults of app=g2p" in text and "\n  optimization.max_update=2400 " in text


def test_list_has_every_file_in_80_columns():
    text = call("s2s list").stdout
    for group in listing.GROUPS.values():
        for path in (schema.CONF / group).glob("*.yaml"):
            assert f"\n  {group}={path.stem} " in text and listing.description(path), path
    assert max(map(len, text.splitlines())) <= 80


def test_list_of_runs(tmp_path: Path):
    for name, files in {
        "a": {"scores.json": {"metrics": {"BLEU": {"score": 12.345}}}, "report.html": {}, "trained.json": {"best": 1}},
        "b": {"trained.json": {"best": 2.5}, "settings.json": {"task.data": "data-bin/multi30k.en-de.12345678"}},
        "c": {},
        "d": {"trained.json": {"best": 2.5}, "settings.json": {"checkpoint.best_checkpoint_metric": "bleu"}},
    }.items():
        folder = tmp_path / "runs/nmt" / name
        folder.mkdir(parents=True)
        for file, content in {"log.txt": "", **files}.items():
            (folder / file).write_text(json.dumps(content))
    lines = call("s2s list runs", cwd=tmp_path).stdout.splitlines()
    words = sorted(line.split() for line in lines[1:])
    assert [line[:2] for line in words] == [
        ["runs/nmt/a", "complete"],
        ["runs/nmt/b", "trained"],
        ["runs/nmt/c", "started"],
        ["runs/nmt/d", "trained"],
    ]
    assert words[0][-2:] == ["BLEU", "12.35"] and words[3][-3:] == ["valid", "BLEU", "2.50"]
    assert words[1][-5:] == ["multi30k", "valid", "loss", "2.50", "bits"]
    assert call("s2s list rnus", cwd=tmp_path, check=False).returncode == 2


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("model.hiden", "model.encoder_hidden_size"),
        ("model.dropuot", "model.dropout"),
        ("lr", "optimization.lr"),
        ("beam", "generation.beam"),
        ("batch", "dataset.batch_size"),
        ("hardwear", "hardware"),
    ],
)
def test_suggestions_name_the_group(wrong: str, right: str):
    assert did_you_mean_option(wrong, ["app=nmt"]) == f" (did you mean {right}?)"


APPS = "asr, caption, chatbot, code, g2p, lipread, nmt, summarize"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("run app=nmt lr=0.1", "there is no option lr (did you mean optimization.lr?); see s2s run --help"),
        ("train app=nmt bem=1", "there is no option bem (did you mean generation.beam?); see s2s train --help"),
        ("train", f"s2s train requires app=NAME, one of {APPS}"),
        ("train app=nmt model.encoder_layers=many", "model.encoder_layers must be an integer, got many"),
        ("train app=nmt model.dropout=", "model.dropout must be a number, got nothing"),
        ("train app=nmt common.fp16=maybe", "common.fp16 must be true or false, got maybe"),
        ("train app=nmt metrics=s2s_wer", "metrics must be a list in brackets, got str"),
        ("train app=nmt generation.print_alignment=no", "generation.print_alignment must be one of hard, soft, got no"),
        ("train app=nmt faster", "options must be key=value, lists key=[a,b], got faster"),
        ("train app=nmt data=csv", "there is no data=csv; for a table: data=files data.pairs=my.csv, see docs/data.md"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_config_is_one_line(command: str, message: str):
    done = call(f"s2s {command}", check=False)
    assert (done.returncode, done.stderr) == (2, f"s2s: error: {message}\n")


@pytest.mark.parametrize(
    ("line", "choices"),
    [
        ("s2s ", " ".join(COMMANDS)),
        ("s2s tra", "train translate transcribe"),
        ("s2s list mod", "models"),
        ("s2s compare ru", ""),
    ],
)
def test_completion_of_stages(line: str, choices: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    monkeypatch.setenv("COMP_LINE", line)
    assert cli.complete(["query=bash"]) == 0
    assert capsys.readouterr().out == f"{choices}\n"


@pytest.mark.slow
def test_completion_in_bash(tmp_path: Path):
    script = """PATH=$1:$PATH; eval "$(s2s -sc install=bash)"
        COMP_LINE="s2s train app=nmt model.drop" COMP_CWORD=3; hydra_bash_completion; echo "${COMPREPLY[@]}" """
    done = subprocess.run(["bash", "-c", script, "bash", BIN], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "model.dropout=\n", done.stderr
