"""The pipeline from a user's two text files to a report, and what happens the second time."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from command_line import BIN, ROOT, call, call_process

RECIPE = (
    "model=tiny subword.size=40 dataset.max_tokens=500 optimization.max_update=60 optimization.lr=[0.01] "
    "lr_scheduler.warmup_updates=20 task.eval_beam=2 model.dropout=0.1"
)


def overrides(own_files: Path, name: str = "default") -> str:
    files = f"data=files data.source={own_files}/letters.en data.target={own_files}/letters.de"
    return f"app=nmt name={name} {files} {RECIPE}"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, own_files: Path) -> tuple[Path, subprocess.CompletedProcess]:
    """A finished run in a folder of its own, by a process that also says what its imports say."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, call_process(f"s2s run {overrides(own_files)}", cwd=folder)


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


def test_fairseqs_noise_stays_in_the_log(finished, own_files: Path):
    folder, done = finished
    for noise in ("FutureWarning", "UserWarning", "INFO", "tensorboard", "Please install"):
        assert noise not in done.stderr and noise not in done.stdout
    assert "num. shared model params" in (folder / "runs" / "nmt" / "default" / "log.txt").read_text()
    loud = call(f"s2s generate {overrides(own_files)} generation.beam=3 verbose=true", cwd=folder)
    assert "| INFO | fairseq" in loud.stderr


def test_a_second_run_does_nothing_again(finished, own_files: Path):
    folder, _ = finished
    call(f"s2s run {overrides(own_files)}", cwd=folder)  # back to the beam that the run had
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
    preprocess, train, generate = (
        line.removeprefix("      $ ") for line in done.stderr.splitlines() if line.startswith("      $ ")
    )
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
    command = next(line.removeprefix("      $ ") for line in done.stderr.splitlines() if line.startswith("      $ "))
    assert command.startswith("fairseq-hydra-train")
    call(f"{command} checkpoint.save_dir={tmp_path / 'again'}", cwd=tmp_path)
    states = [
        torch.load(checkpoints / "checkpoint_last.pt", weights_only=True)
        for checkpoints in (tmp_path / "runs/nmt/default/checkpoints", tmp_path / "again")
    ]
    assert all(torch.equal(tensor, states[1]["model"][name]) for name, tensor in states[0]["model"].items())


def test_later_stages_need_not_be_told_the_data_again(finished, tmp_path: Path):
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    run = folder / "runs" / "nmt" / "default"
    config = (run / "config.yaml").read_bytes()
    call("s2s generate app=nmt generation.beam=2", cwd=folder)
    done = call("s2s score app=nmt scoring.sacrebleu_lowercase=true", cwd=folder)
    assert "case:lc|eff:no|tok:13a" in done.stderr
    scores = json.loads((run / "scores.json").read_text())
    assert scores["search"]["beam"] == 2 and scores["sentences"] == len((run / "test.hyp").read_text().splitlines())
    call("s2s report app=nmt", cwd=folder)
    assert (run / "config.yaml").read_bytes() == config


def test_one_named_option_leaves_the_others_as_they_were(finished, tmp_path: Path):
    """Also where the user's files have moved: these stages do not read them."""
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    config = folder / "runs/nmt/default/config.yaml"
    changed = re.sub(r"(\n  max_len_b: )10\n", r"\g<1>11\n", config.read_text())
    changed = re.sub(r"(\n  (?:source|target): ).*letters", r"\g<1>/moved/letters", changed)
    changed = changed.replace("max_source_positions: 1024", "max_source_positions: 99")
    assert len(set(changed.splitlines()) - set(config.read_text().splitlines())) == 4
    config.write_text(changed)
    done = call("s2s generate app=nmt generation.beam=2 task.search_patience=2", cwd=folder)
    assert re.search(r"--beam 2 .*--max-len-b 11\b", done.stderr)
    assert "--max-source-positions 99" in done.stderr and "--search-patience 2" in done.stderr
    assert (
        "up to date, skipping"
        in call("s2s generate app=nmt generation.beam=2 task.search_patience=2", cwd=folder).stderr
    )
    longer = "s2s generate app=nmt generation.beam=2 task.search_patience=2 task.max_source_positions=98"
    assert "up to date, skipping" not in call(longer, cwd=folder).stderr


def test_how_much_is_read_by_hand_can_be_said(finished):
    for option, read in (("", None), ("task.max_source_positions=4", 3)):
        done = call(f"s2s translate app=nmt {option}", cwd=finished[0], stdin="a b c d e f g\n")
        assert len(done.stdout.splitlines()) == 1
        assert (f"truncated to {read} of" in done.stderr) == (read is not None)


def test_a_faster_search_says_what_it_costs(finished, tmp_path: Path):
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    done = call("s2s generate app=nmt task.search_precision=int8 task.shortlist=50", cwd=folder)
    assert re.search(
        r"shortlist=50, search_precision=int8: \d+ of \d+ validation outputs as with the exact search; "
        r"BLEU [\d.]+, not [\d.]+",
        done.stderr,
    )
    assert re.search(r"the shortlist lacks [\d.]+% of the validation tokens", done.stderr)
    assert "--search-precision int8" in done.stderr and "--shortlist 50" in done.stderr
    cost = json.loads((folder / "runs/nmt/default/speed.json").read_text())
    assert cost["metrics"]["BLEU"]["score"] == pytest.approx(cost["metrics"]["BLEU"]["plain"], abs=5)
    call("s2s score app=nmt", cwd=folder)
    search = json.loads((folder / "runs/nmt/default/scores.json").read_text())["search"]
    assert search["search_precision"] == "int8" and search["shortlist"] == 50
    call("s2s generate app=nmt task.search_precision=fp32 task.shortlist=0", cwd=folder)
    assert not (folder / "runs/nmt/default/speed.json").exists()


def test_training_can_be_lengthened(tmp_path: Path, own_files: Path):
    short = overrides(own_files).replace("max_update=60", "max_update=5")
    call(f"s2s prepare {short}", cwd=tmp_path)
    call(f"s2s train {short}", cwd=tmp_path)
    call("s2s generate app=nmt", cwd=tmp_path)
    call(f"s2s train {short} optimization.max_update=9", cwd=tmp_path)
    assert json.loads((tmp_path / "runs/nmt/default/trained.json").read_text())["updates"] == 9
    done = call("s2s score app=nmt", cwd=tmp_path, check=False)  # the outputs are of the shorter one
    assert done.returncode == 2 and "run the generate stage first" in done.stderr


def test_a_run_killed_after_its_last_update_trains_no_further(finished, tmp_path: Path, own_files: Path):
    copy = tmp_path / "copy"
    shutil.copytree(finished[0], copy)
    (copy / "runs" / "nmt" / "default" / "trained.json").unlink()
    call(f"s2s train {overrides(own_files)}", cwd=copy)
    ends = [json.loads((folder / "runs/nmt/default/trained.json").read_text()) for folder in (copy, finished[0])]
    assert ends[0]["updates"] == ends[1]["updates"] == 60 and ends[0]["best"] == ends[1]["best"]


@pytest.mark.slow
def test_patience_ends_training_once_and_for_all(tmp_path: Path, own_files: Path):
    """Two validations without a gain: the run goes on to its report, and no later command trains further."""
    patient = f"{overrides(own_files)} checkpoint.patience=2 optimization.lr=[1e-9] checkpoint_metric=bleu"
    done = call(f"s2s run {patient}", cwd=tmp_path)
    assert "early stop since valid performance hasn't improved for last 2 runs" in done.stderr
    run = tmp_path / "runs" / "nmt" / "default"
    before = json.loads((run / "trained.json").read_text())["updates"]
    assert len(re.findall("epoch .* valid bleu 0.00", done.stderr)) == 3 and before < 60
    assert (run / "report.html").is_file()
    assert "up to date, skipping" in call(f"s2s train {patient}", cwd=tmp_path).stderr
    done = call(f"s2s train {patient} optimization.max_update=61", cwd=tmp_path)  # as after a crash: trained.json goes
    assert "patience has run out" in done.stderr
    assert json.loads((run / "trained.json").read_text())["updates"] == before


def test_the_best_by_loss_is_the_best(tmp_path: Path, own_files: Path):
    call(f"s2s run {overrides(own_files)} checkpoint_metric=loss", cwd=tmp_path)
    records = [json.loads(line) for line in (tmp_path / "runs/nmt/default/log.txt").read_text().splitlines()
               if line.startswith("{") and "valid_loss" in line]  # fmt: skip
    best = min(float(record["valid_loss"]) for record in records)
    assert json.loads((tmp_path / "runs/nmt/default/trained.json").read_text())["best"] == pytest.approx(best)
    assert not any("valid_bleu" in record for record in records)


def test_parameters_are_counted_once_with_bf16_weights(tmp_path: Path, own_files: Path, finished):
    small = overrides(own_files).replace("max_update=60", "max_update=2") + " common.bf16=true"
    call(f"s2s prepare {small}", cwd=tmp_path)
    call(f"s2s train {small}", cwd=tmp_path)
    counts = [json.loads((folder / "runs/nmt/default/trained.json").read_text())["parameters"]
              for folder in (tmp_path, finished[0])]  # fmt: skip
    assert counts[0] == counts[1]


def test_two_preparations_at_once(tmp_path: Path, own_files: Path):
    command = shlex.split(f"s2s prepare {overrides(own_files)}")
    both = [subprocess.Popen([str(BIN / command[0]), *command[1:]], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
            for _ in range(2)]  # fmt: skip
    for process in both:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors


def test_translate_reads_lines(finished, own_files: Path):
    folder, _ = finished
    rows = [json.loads(line) for line in (folder / "runs/nmt/default/outputs.jsonl").read_text().splitlines()][:3]
    done = call("s2s translate app=nmt data=files", cwd=folder, stdin="".join(row["source"] + "\n" for row in rows))
    assert done.stdout.splitlines() == [row["hypothesis"] for row in rows]


@pytest.mark.slow
def test_jobs_of_a_sweep_do_not_disturb_each_other(tmp_path: Path, own_files: Path, finished):
    """The second job of -m has its own folder and best checkpoint, and ends as it does alone."""
    call(f"s2s run -m {overrides(own_files)} optimization.max_update=20,60 ", cwd=tmp_path)
    jobs = sorted(path for path in (tmp_path / "runs" / "nmt").iterdir() if path.is_dir())
    assert all((job / "checkpoints" / "checkpoint_best.pt").is_file() for job in jobs)
    assert [job.name for job in jobs] == ["default-0", "default-1"]
    assert (jobs[1] / "test.hyp").read_text() == (finished[0] / "runs/nmt/default/test.hyp").read_text()


@pytest.mark.parametrize(
    "stop",
    [pytest.param(signal.SIGINT, id="ctrl-c"), pytest.param(signal.SIGKILL, id="kill -9", marks=pytest.mark.slow)],
)
def test_stopped_anywhere_it_continues_to_the_same_scores(tmp_path: Path, own_files: Path, finished, stop: int):
    """Stopped in preparation, in training and in generation; the same command each time."""
    command = shlex.split(f"s2s run {overrides(own_files)}")
    run, prepared = tmp_path / "runs" / "nmt" / "default", tmp_path / "data-bin"
    moments = (
        lambda: list(prepared.glob("*.partial")),
        lambda: (run / "checkpoints" / "checkpoint_last.pt").is_file(),
        lambda: (run / "generate.partial").is_dir(),
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for moment in moments:
        process = subprocess.Popen([str(BIN / command[0]), *command[1:]], cwd=tmp_path, env=environment,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # fmt: skip
        deadline = time.monotonic() + 120
        while not moment() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        process.send_signal(stop)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == (130 if stop == signal.SIGINT else -stop), errors
        assert "Traceback" not in errors
    call(f"s2s run {overrides(own_files)}", cwd=tmp_path)
    whole = finished[0] / "runs" / "nmt" / "default"
    assert (run / "test.hyp").read_text() == (whole / "test.hyp").read_text()
    scores = [json.loads((folder / "scores.json").read_text())["metrics"] for folder in (run, whole)]
    assert scores[0] == scores[1]
    assert not list(tmp_path.rglob("*.partial"))


def test_korean_as_jamo(tmp_path: Path):
    """Hangul is decomposed on the way in and whole again on the way out."""
    words = ["나무", "하늘", "바다", "사람", "노래", "구름", "친구", "마음"]
    names = ["tree", "sky", "sea", "man", "song", "cloud", "friend", "mind"]
    pairs = [(f"{names[i]} {names[j]}", f"{words[i]} {words[j]}") for i in range(8) for j in range(8)] * 5
    (tmp_path / "my.en").write_text("".join(f"{a} {n}\n" for n, (a, _) in enumerate(pairs)))
    (tmp_path / "my.ko").write_text("".join(f"{b} {n}\n" for n, (_, b) in enumerate(pairs)), encoding="utf-8")
    call("s2s run app=nmt data=files data.source=my.en data.target=my.ko subword.jamo=true subword.size=120 "
         "model=tiny model.share_all_embeddings=true optimization.max_update=150 optimization.lr=[0.01] "
         "lr_scheduler.warmup_updates=20 dataset.max_tokens=800", cwd=tmp_path)  # fmt: skip
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
