"""A run folder is all that the use of a run needs: moved and renamed, without prepared data, from any folder."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_line import ROOT, call, start, write_reversed
from media import make_items
from mistakes import mistake
from own_run import overrides

from s2s_plugin.datasets.manifest import write_manifest


@pytest.fixture(scope="module")
def moved(finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run under another name in another folder, as if on another machine: the files are copied."""
    folder = tmp_path_factory.mktemp("elsewhere") / "renamed"
    shutil.copytree(finished[0] / "runs/nmt/default", folder)
    return folder


def rows(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "outputs.jsonl").read_text(encoding="utf-8").splitlines()]


def test_no_training_data_and_no_second_copy(finished):
    run = finished[0] / "runs/nmt/default"
    (prepared,) = (finished[0] / "data-bin").glob("files.*")
    kept = [path for path in (run / "data").rglob("*") if path.is_file()]
    assert {"codec.json", "spm.model", "dict.en.txt", "test.en-de.en.bin"} <= {path.name for path in kept}
    assert not [path for path in kept if path.name.startswith("train")]
    assert all(path.samefile(prepared / path.relative_to(run / "data")) for path in kept if path.name != "digests.json")


def test_a_moved_run_is_used_from_any_folder(moved: Path, tmp_path: Path):
    before, scores = rows(moved), json.loads((moved / "scores.json").read_text())["metrics"]
    where = f"app=nmt run_dir={moved}"
    sources = "".join(row["source"] + "\n" for row in before[:3])
    done = call(f"s2s translate {where}", cwd=tmp_path, stdin=sources)
    assert done.stdout.splitlines() == [row["hypothesis"] for row in before[:3]]
    assert "up to date, skipping" in call(f"s2s generate {where}", cwd=tmp_path).stderr
    (moved / "generated.json").unlink()
    call(f"s2s generate {where}", cwd=tmp_path)
    assert rows(moved) == before
    call(f"s2s score {where} perplexity=true", cwd=tmp_path)
    now = json.loads((moved / "scores.json").read_text())["metrics"]
    assert {name: now[name] for name in scores} == scores and now["perplexity"]["score"] > 1
    (moved / "report.html").unlink()
    call(f"s2s report {where}", cwd=tmp_path)
    assert (moved / "report.html").is_file() and not list(tmp_path.iterdir())
    plain = f"fairseq-generate {moved}/data --user-dir {ROOT}/s2s_plugin --task s2s -s en -t de --cpu --path"
    done = call(f"{plain} {moved}/checkpoints/checkpoint_best.ema.pt", cwd=tmp_path)
    assert len([line for line in done.stdout.splitlines() if line.startswith("D-")]) == len(before)


def test_its_vocabulary_initializes_another_run(moved: Path, tmp_path: Path):
    write_reversed(tmp_path, {"new": 200}, ("en", "de"), upper=True)
    options = "data=files data.source=new.en data.target=new.de optimization.max_update=2"
    for stage in ("prepare", "train"):
        call(f"s2s {stage} app=nmt name=tuned {options} finetune_from={moved}", cwd=tmp_path)
    for name in ("codec.json", "spm.model", "dict.en.txt"):
        assert (tmp_path / "runs/nmt/tuned/data" / name).read_bytes() == (moved / "data" / name).read_bytes()


def test_what_needs_the_training_data_says_so(moved: Path, own_files: Path, tmp_path: Path):
    where = f"app=nmt run_dir={moved}"
    mistake(tmp_path, f"s2s train {where} optimization.max_update=61", "data-bin/files.en-de.", "run the prepare stage")
    mistake(tmp_path, f"s2s translate {where} task.shortlist=20", "task.shortlist is learned from the training data")
    mistake(tmp_path, f"s2s score {where} baselines=[lead]", "baselines=[lead] requires the training data", "[copy]")
    call(f"s2s prepare {where}", cwd=tmp_path)  # again, from the user's files: the same data
    assert "continues after 60" in call(f"s2s train {where} optimization.max_update=61", cwd=tmp_path).stderr


def test_the_place_of_the_data_is_obeyed_or_refused(finished, own_files: Path, tmp_path: Path):
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    (prepared,) = (folder / "data-bin").glob("files.*")
    new = overrides(own_files, "new")
    mistake(folder, f"s2s run {new} task.data=data-bin", "task.data must be data-bin/files.en-de.", "got data-bin")
    mistake(folder, "s2s translate app=nmt task.data=data-bin/x", "task.data only affects training", "leave")
    mistake(folder, "s2s translate app=nmt prepared_dir=other", "prepared_dir only affects training", "got other")
    mistake(folder, "s2s generate app=nmt task.data=other", "other: no such folder")
    mistake(folder, "s2s generate app=nmt task.data=runs", "runs/dict.en.txt")
    call(f"s2s generate app=nmt task.data={prepared} generation.beam=2", cwd=folder)
    assert f"fairseq-generate {prepared}" in (folder / "runs/nmt/default/commands.txt").read_text()
    (folder / "data-bin").rename(folder / "moved")
    done = call(f"s2s train {overrides(own_files)} prepared_dir=moved", cwd=folder)
    assert "up to date, skipping" in done.stderr and not (folder / "data-bin").exists()


@contextmanager
def zeros_in(path: Path) -> Iterator[None]:
    """The middle half of a file is zeros meanwhile."""
    content = path.read_bytes()
    start, end = len(content) // 4, len(content) * 3 // 4
    path.write_bytes(content[:start] + bytes(end - start) + content[end:])
    yield
    path.write_bytes(content)


@pytest.mark.slow
def test_signals_keep_the_features_of_the_test_set(tmp_path: Path):
    write_manifest(tmp_path / "my.tsv", "audio", make_items(tmp_path / "sounds", "audio", 40, 1))
    tiny = "dataset.max_tokens=2000 optimization.max_update=2 model=tiny model.encoder_channels=4 audio.mel_bins=20"
    call(f"s2s run app=asr data=manifest data.manifest=my.tsv {tiny} model.ctc=true", cwd=tmp_path)
    (packed,) = (tmp_path / "data-bin").rglob("train.bin")
    with zeros_in(packed):
        mistake(tmp_path, "s2s train app=asr optimization.max_update=4", "train.bin: damaged", "prepare")
    run = tmp_path / "away" / "run"
    run.parent.mkdir()
    (tmp_path / "runs/asr/default").rename(run)
    shutil.rmtree(tmp_path / "data-bin")
    before, scores = rows(run), json.loads((run / "scores.json").read_text())
    (run / "generated.json").unlink()
    with zeros_in(run / "data/features/test.bin"):
        mistake(run.parent, f"s2s generate app=asr run_dir={run}", "test.bin: damaged", "restore a copy")
    for stage in ("generate", "score", "report"):
        call(f"s2s {stage} app=asr run_dir={run}", cwd=run.parent)
    assert rows(run) == before
    assert json.loads((run / "scores.json").read_text())["baselines"] == scores["baselines"]
    sound = tmp_path / "sounds" / "1.wav"
    assert call(f"s2s transcribe {sound} run_dir={run}", cwd=run.parent).stdout.startswith(f"{sound}\t")


def test_one_process_at_a_time_works_on_a_run(finished, own_files: Path, tmp_path: Path):
    """What a killed process has left is in nobody's way."""
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    run = folder / "runs/nmt/default"
    process = start(f"s2s train {overrides(own_files)} optimization.max_update=100000", folder)
    deadline = time.monotonic() + 120
    while (run / "trained.json").is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGSTOP)  # alive, and no burden
    try:
        for stage in ("run", "train", "generate", "score"):
            who = f"runs/nmt/default is being worked on by process {process.pid} since"
            mistake(folder, f"s2s {stage} app=nmt", who, "another name=")
        assert call("s2s translate app=nmt", cwd=folder, stdin="a b\n").stdout.count("\n") == 1
    finally:
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    assert (run / ".lock").is_file()
    call("s2s generate app=nmt", cwd=folder)
    assert not (run / ".lock").exists()
