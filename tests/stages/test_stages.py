"""The pipeline from a user's two text files to a report."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from command_line import ROOT, call, printed_commands
from own_run import overrides


def test_a_run_leaves_everything_in_its_folder(finished):
    folder, _ = finished
    run = folder / "runs" / "nmt" / "default"
    for name in ("config.yaml", "log.txt", "commands.txt", "outputs.jsonl", "test.hyp", "scores.json", "report.html",
                 "attention.jsonl", "checkpoints/checkpoint_best.pt", "report/curves.png"):  # fmt: skip
        assert (run / name).stat().st_size > 0, name
    assert {path.name for path in folder.iterdir()} == {"runs", "data-bin"}
    assert not list(folder.rglob("*.partial"))


def test_outputs_are_in_corpus_order(finished):
    folder, _ = finished
    run = folder / "runs" / "nmt" / "default"
    rows = [json.loads(line) for line in (run / "outputs.jsonl").read_text().splitlines()]
    prepared = next((folder / "data-bin").glob("files.en-de.*"))
    assert [row["source"] for row in rows] == (prepared / "text" / "test.en").read_text().splitlines()
    assert [row["reference"] for row in rows] == (prepared / "text" / "test.de").read_text().splitlines()
    assert [row["hypothesis"] for row in rows] == (run / "test.hyp").read_text().splitlines()


def test_scores_are_sacrebleus(finished):
    folder, _ = finished
    run = folder / "runs" / "nmt" / "default"
    prepared = next((folder / "data-bin").glob("files.en-de.*"))
    scores = json.loads((run / "scores.json").read_text())["metrics"]
    done = call(["sacrebleu", str(prepared / "text" / "test.de"), "-i", str(run / "test.hyp"), "-m", "bleu", "chrf",
                 "ter", "-w", "2"])  # fmt: skip
    for row, name in zip(json.loads(done.stdout), ("BLEU", "chrF2", "TER"), strict=True):
        assert scores[name]["score"] == pytest.approx(row["score"], abs=0.011)
        assert scores[name]["signature"] == row["signature"]
    done = call(["sacrebleu", str(prepared / "text" / "test.de"), "-i", str(run / "test.hyp"), "-m", "bleu", "chrf",
                 "ter", "--confidence", "-w", "4"])  # fmt: skip
    for row, name in zip(json.loads(done.stdout), ("BLEU", "chrF2", "TER"), strict=True):
        low, high = scores[name]["interval"]
        assert (high - low) / 2 == pytest.approx(row["confidence_var"], abs=0.011)
        assert low <= scores[name]["score"] <= high
        assert scores[name]["bootstrap"] == "bs:1000|seed:12345"


def test_last_lines_show_scores_examples_and_report(finished):
    _, done = finished
    last = done.stdout.rstrip().splitlines()
    assert last[-1] == "report runs/nmt/default/report.html"
    assert [line.split()[0] for line in last[-4:-1]] == ["BLEU", "chrF2", "TER"]
    assert sum(line.startswith("  hypothesis") for line in last) == 5


def test_what_is_printed_fits_a_terminal(finished):
    """Paths aside: a score is followed by the baseline's."""
    folder, done = finished
    run = folder / "runs" / "nmt" / "default"
    paths = ("/", "299")  # how lines with a path begin, or ": /" inside of them
    lines = [line for line in done.stderr.splitlines() if not line.strip().startswith(paths) and ": /" not in line]
    assert max(map(len, lines)) <= 80 and max(map(len, done.stdout.splitlines())) <= 80
    scores = json.loads((run / "scores.json").read_text())
    for name, value in scores["metrics"].items():
        low, high = value["interval"]
        copied = scores["baselines"]["copy of the source"][name]
        shown = f"{name:6} {value['score']:.2f} [{low:.2f}, {high:.2f}]  ({copied:.2f} copy of the source)"
        assert done.stdout.count(f"{shown}\n") == 1 and f"{name:6} {value['signature']}\n" in done.stdout
        assert shown not in done.stderr, "once"
    commands = (run / "commands.txt").read_text()
    assert all(command in commands for command in printed_commands(done.stderr)[1:])


def test_fairseqs_noise_stays_in_the_log(finished, own_files: Path, tmp_path: Path):
    folder, done = finished
    for noise in ("FutureWarning", "UserWarning", "INFO", "tensorboard", "Please install"):
        assert noise not in done.stderr and noise not in done.stdout
    assert "num. shared model params" in (folder / "runs" / "nmt" / "default" / "log.txt").read_text()
    shutil.copytree(folder, tmp_path / "copy")
    loud = call(f"s2s generate {overrides(own_files)} generation.beam=3 verbose=true", cwd=tmp_path / "copy")
    assert "| INFO | fairseq" in loud.stderr


def test_a_second_run_does_nothing_again(finished, own_files: Path):
    folder, _ = finished
    run = folder / "runs" / "nmt" / "default"
    kept = [run / "checkpoints" / "checkpoint_best.pt", run / "outputs.jsonl", *(folder / "data-bin").rglob("*.bin")]
    before = [path.stat().st_mtime_ns for path in kept]
    done = call(f"s2s run {overrides(own_files)}", cwd=folder)
    assert [path.stat().st_mtime_ns for path in kept] == before
    assert (
        "up to date, skipping: 60 updates" in done.stderr
        and "up to date, skipping: runs/nmt/default/outputs.jsonl" in done.stderr
    )


@pytest.mark.slow
def test_pasted_commands_do_the_same(finished, tmp_path: Path):
    """The plain fairseq commands that the stages print give the same data, loss and hypotheses."""
    folder, done = finished
    preprocess, train, generate = printed_commands(done.stderr)
    prepared = next((folder / "data-bin").glob("files.en-de.*"))
    before = (prepared / "train.en-de.de.bin").read_bytes()
    call(preprocess.replace(f"--destdir {prepared.relative_to(folder)}", f"--destdir {tmp_path / 'bin'}"), cwd=folder)
    assert (tmp_path / "bin" / "train.en-de.de.bin").read_bytes() == before

    call(train.replace("runs/nmt/default/checkpoints", str(tmp_path / "checkpoints")), cwd=folder)
    states = [
        torch.load(checkpoints / "checkpoint_last.pt", weights_only=True)
        for checkpoints in (folder / "runs/nmt/default/checkpoints", tmp_path / "checkpoints")
    ]
    assert states[0]["extra_state"]["val_loss"] == states[1]["extra_state"]["val_loss"]
    assert all(torch.equal(tensor, states[1]["model"][name]) for name, tensor in states[0]["model"].items())

    output = call(generate, cwd=folder).stdout
    found = {int(n): text for n, text in re.findall(r"^D-(\d+)\t\S+\t(.*)$", output, re.MULTILINE)}
    assert [found[n] for n in sorted(found)] == (folder / "runs/nmt/default/test.hyp").read_text().splitlines()


@pytest.mark.slow
def test_pasted_hydra_command_does_the_same(tmp_path: Path, own_files: Path):
    """With bf16 weights, which fairseq-train would take for a TPU's."""
    done = call(f"s2s prepare {overrides(own_files)}", cwd=tmp_path)
    done = call(f"s2s train {overrides(own_files)} common.bf16=true", cwd=tmp_path)
    (command,) = printed_commands(done.stderr)
    assert command.startswith("fairseq-hydra-train")
    call(f"{command} checkpoint.save_dir={tmp_path / 'again'}", cwd=tmp_path)
    states = [
        torch.load(checkpoints / "checkpoint_last.pt", weights_only=True)
        for checkpoints in (tmp_path / "runs/nmt/default/checkpoints", tmp_path / "again")
    ]
    assert all(torch.equal(tensor, states[1]["model"][name]) for name, tensor in states[0]["model"].items())


@pytest.mark.slow
def test_korean_as_jamo(tmp_path: Path):
    """Hangul is decomposed on the way in and whole again on the way out."""
    words = ["나무", "하늘", "바다", "사람", "노래", "구름", "친구", "마음"]
    names = ["tree", "sky", "sea", "man", "song", "cloud", "friend", "mind"]
    pairs = [(f"{names[i]} {names[j]}", f"{words[i]} {words[j]}") for i in range(8) for j in range(8)] * 3
    (tmp_path / "my.en").write_text("".join(f"{a} {n}\n" for n, (a, _) in enumerate(pairs)))
    (tmp_path / "my.ko").write_text("".join(f"{b} {n}\n" for n, (_, b) in enumerate(pairs)), encoding="utf-8")
    call("s2s run app=nmt data=files data.source=my.en data.target=my.ko subword.jamo=true subword.size=120 "
         "model=tiny model.share_all_embeddings=true optimization.max_update=80 optimization.lr=[0.02] "
         "lr_scheduler.warmup_updates=20 dataset.max_tokens=800 "
         "generation.max_len_a=0 generation.max_len_b=20", cwd=tmp_path)  # fmt: skip
    pieces = next((tmp_path / "data-bin").glob("files*/pieces/train.ko")).read_text(encoding="utf-8")
    assert "\u1102" in pieces and "나" not in pieces  # conjoining jamo
    output = (tmp_path / "runs" / "nmt" / "default" / "test.hyp").read_text(encoding="utf-8")
    assert any(word in output for word in words) and "\u1102" not in output


def test_help_lists_the_stages():
    text = call("s2s --help").stdout
    for stage in ("prepare", "train", "generate", "score", "report", "run", "translate"):
        assert f"\n  {stage} " in text
    assert call("s2s", check=False).returncode == 2
    assert ROOT.is_dir()
