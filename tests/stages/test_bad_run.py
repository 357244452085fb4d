"""A mistake about a run that there is: one line, exit code 2, and the run stays as it was."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command_line import TRAIN, call, write_reversed
from mistakes import TINY, mistake

from s2s_plugin.utils.digests import record_digests


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory, own_files: Path) -> tuple[Path, str]:
    """A trained run and the overrides that made it."""
    folder = tmp_path_factory.mktemp("small")
    overrides = f"app=nmt data=files data.source={own_files}/letters.en data.target={own_files}/letters.de {TINY}"
    call(f"s2s prepare {overrides}", cwd=folder)
    call(f"s2s train {overrides}", cwd=folder)
    return folder, overrides


def test_other_settings_need_another_name(small_run):
    folder, overrides = small_run
    mistake(folder, f"s2s train {overrides} model.dropout=0.25", "model.dropout", "0.25", "name=")


def test_a_refused_command_changes_nothing(small_run):
    folder, overrides = small_run
    run = folder / "runs" / "nmt" / "default"
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "log.txt"}
    mistake(folder, f"s2s run {overrides} model.dropout=0.25", "model.dropout", "name=")
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "log.txt"}


def test_stage_before_its_time(small_run):
    folder, overrides = small_run
    mistake(folder, f"s2s generate {overrides} name=new", "no checkpoint", "train stage")
    mistake(folder, f"s2s score {overrides} name=new", "generate stage")
    mistake(folder, f"s2s train {overrides} subword.size=41 name=new", "prepare stage")
    mistake(folder, f"s2s translate {overrides} name=new", "no checkpoint", "train stage")
    assert [path.name for path in (folder / "runs" / "nmt").iterdir() if path.name == "new"] == ["new"]


def test_batch_that_cannot_hold_a_sentence(small_run):
    folder, overrides = small_run
    mistake(
        folder,
        f"s2s train {overrides} name=narrow dataset.max_tokens=5",
        "dataset.max_tokens must be at least",
        "longest",
    )


def test_no_utf8_on_standard_input(small_run):
    folder, overrides = small_run
    done = call(f"s2s translate {overrides}", folder, stdin=b"a b c\n\ncaf\xe9\n", check=False)
    assert done.returncode == 2 and done.stdout.split("\n")[1] == ""
    assert done.stderr.splitlines()[-2:] == [
        "s2s: standard input, line 3: byte 4 is not UTF-8; convert it",
        "s2s: error: 1 of the lines could not be used; see above",
    ]


def damaged(small_run, name: str) -> tuple[Path, str, Path]:
    """A copy of the run under another name; returns the checkpoint that decodes too."""
    folder, overrides = small_run
    copy = folder / "runs" / "nmt" / name
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder / "runs" / "nmt" / "default", copy)
    return folder, f"{overrides} name={name}", copy / "checkpoints" / "checkpoint_best.ema.pt"


def test_truncated_checkpoint(small_run):
    folder, overrides, checkpoint = damaged(small_run, "cut")
    checkpoint.write_bytes(checkpoint.read_bytes()[:5000])
    for stage in ("generate", "translate"):
        mistake(folder, f"s2s {stage} {overrides}", str(checkpoint.name), "cut short")
    last, best = (checkpoint.with_name(f"checkpoint_{which}.pt") for which in ("last", "best"))
    last.write_bytes(b"")
    best.write_bytes(best.read_bytes()[:5000])  # both of them: nothing is left to continue from
    (checkpoint.parents[1] / "trained.json").unlink()
    mistake(folder, f"s2s train {overrides}", best.name, "cut short")


def test_checkpoint_of_another_architecture(small_run, toy: Path, tmp_path: Path):
    folder, overrides, checkpoint = damaged(small_run, "foreign")
    stock = (
        "--task translation --arch lstm --encoder-embed-dim 16 --encoder-hidden-size 16 --decoder-embed-dim 16 "
        "--decoder-hidden-size 16 --decoder-out-embed-dim 16 --max-update 1 --data-buffer-size 0"
    )
    ours = "--task s2s --arch s2s_tiny --share-all-embeddings"
    call(TRAIN.replace(ours, stock).format(data=toy, save_dir=tmp_path))
    shutil.copy(tmp_path / "checkpoint_last.pt", checkpoint)
    mistake(folder, f"s2s generate {overrides}", checkpoint.name, "architecture must be s2s*, got lstm")


def test_dictionary_of_other_data(small_run, tmp_path: Path):
    """Of the same size, too."""
    folder, overrides, _ = damaged(small_run, "dictionary")
    write_reversed(tmp_path, {"other": 400}, ("en", "de"), upper=True)
    (tmp_path / "other.en").write_text((tmp_path / "other.en").read_text().replace("a", "z"))
    other = f"{overrides} data.source={tmp_path}/other.en data.target={tmp_path}/other.de"
    call(f"s2s prepare {other}", cwd=folder)
    mistake(folder, f"s2s generate {other}", "dict.en.txt", "data of the training")


def test_fewer_hypotheses_than_references(small_run):
    folder, overrides, checkpoint = damaged(small_run, "fewer")
    data = checkpoint.parents[1] / "data"
    for text in (data / "text" / f"test.{lang}" for lang in ("en", "de")):
        text.write_bytes(text.read_bytes() + b"one more\n")
    record_digests(data)  # no damage: the folder was made so
    mistake(folder, f"s2s generate {overrides} generation.beam=3", "one hypothesis for each", "run again")
    assert not (folder / "runs" / "nmt" / "fewer" / "scores.json").exists()
