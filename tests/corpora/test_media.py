"""The pipeline from a user's manifest of recordings, videos or pictures to a report, and bad media on the way."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
from command_line import call, printed_commands
from media import make_items

from s2s_plugin.datasets.manifest import write_manifest
from s2s_plugin.errors import UserError
from s2s_plugin.inference.interactive import media_files
from s2s_plugin.package.model import load

APPS = {
    "audio": ("asr", "transcribe", "audio.sample_rate=8000 audio.mel_bins=20"),
    "video": ("lipread", "lipread", "video.height=16 video.width=32"),
    "image": ("caption", "caption", "image.size=16"),
}
RECIPE = (
    "model=tiny model.encoder_channels=4 subword.kind=word data=manifest data.manifest=my.tsv data.held_out=12 "
    "dataset.max_tokens=2000 optimization.max_update=30 optimization.lr=[0.01] lr_scheduler.warmup_updates=10 "
    "criterion.ctc_weight=0 generation.max_len_b=8"
)

# NumPy's header of an array of 298 GiB
NPY_BOMB = (
    b"\x93NUMPY\1\0v\0" + b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 80), }".ljust(117) + b"\n"
)


def command(modality: str, stage: str = "run") -> str:
    app, _, frontend = APPS[modality]
    return f"s2s {stage} app={app} {frontend} {RECIPE}"


@pytest.fixture(
    scope="module", params=["image", *(pytest.param(name, marks=pytest.mark.slow) for name in ("audio", "video"))]
)
def finished(request, tmp_path_factory) -> tuple[str, Path, subprocess.CompletedProcess]:
    """Modality, working directory and output of a finished run."""
    modality, folder = request.param, tmp_path_factory.mktemp(f"run_{request.param}")
    items = make_items(folder / "media", modality, 120)
    write_manifest(folder / "my.tsv", modality, [item._replace(path=item.path.relative_to(folder)) for item in items])
    return modality, folder, call(command(modality), cwd=folder)


def run_folder(modality: str, folder: Path) -> Path:
    return folder / "runs" / APPS[modality][0] / "default"


def test_a_run_leaves_everything_in_its_folder(finished):
    modality, folder, _ = finished
    run = run_folder(modality, folder)
    rows = [json.loads(line) for line in (run / "outputs.jsonl").read_text().splitlines()]
    manifest = next((folder / "data-bin").glob("manifest.*/test.tsv")).read_text().splitlines()[1:]
    assert [row["item"] for row in rows] == [line.split("\t")[0] for line in manifest]
    assert [row["reference"] for row in rows] == [line.split("\t")[3] for line in manifest]
    assert [row["hypothesis"] for row in rows] == (run / "test.hyp").read_text().splitlines()
    scores = json.loads((run / "scores.json").read_text())
    assert set(scores["baselines"]) == {"most frequent text", "nearest neighbour"}
    examples = re.findall(r'<article class="example" id="example-(\d+)"', (run / "report.html").read_text())
    assert examples and all((run / "report" / f"attention-{number}.png").is_file() for number in examples)
    assert not list(folder.rglob("*.partial"))


def test_the_nearest_neighbour_is_no_trivial_baseline(finished):
    """Few words in few combinations: a nearest neighbour is right more often than the most frequent text."""
    modality, folder, _ = finished
    scores = json.loads((run_folder(modality, folder) / "scores.json").read_text())["baselines"]
    if modality == "image":
        assert scores["nearest neighbour"]["exact"] > 80
    assert scores["nearest neighbour"]["exact"] >= scores["most frequent text"]["exact"]


def test_a_second_run_does_nothing_twice(finished):
    modality, folder, first = finished
    run = run_folder(modality, folder)
    before = {path: path.stat().st_mtime_ns for path in [*run.rglob("*.pt"), *folder.glob("data-bin/**/*.bin")]}
    again = call(command(modality), cwd=folder)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert again.stdout == first.stdout
    assert again.stderr.count("up to date, skipping") == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "finished", ["image", *(pytest.param(name, marks=pytest.mark.slow) for name in ("audio", "video"))], indirect=True
)
def test_pasted_commands_do_the_same(finished):
    modality, folder, done = finished
    commands = dict(command.removeprefix("fairseq-").split(" ", 1) for command in printed_commands(done.stderr))
    logged = run_folder(modality, folder) / "log.txt"
    loss = re.findall(r'"train_loss": "([\d.]+)"', logged.read_text())[-1]
    words = shlex.split(commands["train"])
    words[words.index("--save-dir") + 1] = str(folder / "pasted")
    again = call(["fairseq-train", *words, "--log-format", "json"], cwd=folder)
    assert re.findall(r'"train_loss": "([\d.]+)"', again.stdout + again.stderr)[-1] == loss
    words = shlex.split(commands["generate"])
    words[words.index("--path") + 1] = str(folder / "pasted" / "checkpoint_best.pt")
    output = call(["fairseq-generate", *words], cwd=folder).stdout
    found = {int(n): text for n, text in re.findall(r"^D-(\d+)\t\S+\t(.*)$", output, re.MULTILINE)}
    expected = (run_folder(modality, folder) / "test.hyp").read_text().splitlines()
    assert [found[number] for number in range(len(expected))] == expected


@pytest.mark.parametrize(
    "finished", ["image", *(pytest.param(name, marks=pytest.mark.slow) for name in ("audio", "video"))], indirect=True
)
def test_the_attention_to_single_files(finished):
    """The map of a test item has the weights that the report draws."""
    modality, folder, _ = finished
    app, run = APPS[modality][0], run_folder(modality, folder)
    row = json.loads((run / "attention.jsonl").read_text().splitlines()[0])
    output = json.loads((run / "outputs.jsonl").read_text().splitlines()[row["id"]])
    words = ["s2s", "attention", f"app={app}", output["media"]]
    values = json.loads(call([*words, "explain.json=true", "explain.png=map.png"], cwd=folder).stdout)
    assert (values["output"], values["target_tokens"]) == (output["hypothesis"], row["target_tokens"])
    for own, saved in zip(values["attention"], row["attention"], strict=True):
        assert own == pytest.approx(saved, abs=2e-3)
    assert (folder / "map.png").stat().st_size > 1000
    drawn = call(words, cwd=folder).stdout.splitlines()
    assert max(map(len, drawn)) <= 80 and row["target_tokens"][0] in drawn[5 if modality == "image" else 6]
    refused = call(["s2s", "explain", f"app={app}", output["media"]], cwd=folder, check=False)
    assert refused.returncode == 2 and f"s2s attention FILE ... app={app} shows where it looks" in refused.stderr


def test_single_files_and_folders_by_hand(finished):
    modality, folder, _ = finished
    app, stage, _ = APPS[modality]
    run = run_folder(modality, folder)
    rows = [json.loads(line) for line in (run / "outputs.jsonl").read_text().splitlines()]
    some = [row["media"] for row in rows[:3]]
    done = call(["s2s", stage, *some], cwd=folder)
    assert done.stdout.splitlines() == [f"{row['media']}\t{row['hypothesis']}" for row in rows[:3]]
    (folder / "folder").mkdir(exist_ok=True)
    link = folder / "folder" / Path(some[0]).name
    link.unlink(missing_ok=True)
    link.symlink_to(some[0])
    done = call(["s2s", stage, "folder", f"app={app}"], cwd=folder)
    assert done.stdout.splitlines() == [f"folder/{link.name}\t{rows[0]['hypothesis']}"]
    (folder / "words.txt").write_text("not a medium")
    bad = call(["s2s", stage, "words.txt", some[1], "absent"], cwd=folder, check=False)
    assert bad.returncode == 2
    assert bad.stdout.splitlines() == [f"{rows[1]['media']}\t{rows[1]['hypothesis']}"]
    assert "words.txt" in bad.stderr and "absent: no such file" in bad.stderr and "Traceback" not in bad.stderr


@pytest.mark.parametrize("workers", [1, 2])
def test_bad_files_cost_a_line_each_and_not_the_rest(finished, workers):
    modality, folder, _ = finished
    _, stage, _ = APPS[modality]
    rows = [json.loads(line) for line in (run_folder(modality, folder) / "outputs.jsonl").read_text().splitlines()]
    good = [row["media"] for row in rows[:2]]
    bad = folder / f"bad{workers}"
    (bad / "no media").mkdir(parents=True)
    (bad / "bomb.npy").write_bytes(NPY_BOMB)
    os.mkfifo(bad / "pipe")
    (bad / "red\x1b[31m.wav").write_text("no sound, picture or video")
    os.close(os.open(os.fsencode(bad) + b"/\xff.wav", os.O_CREAT))
    names = ["bomb.npy", "pipe", "red\x1b[31m.wav", os.fsdecode(b"\xff.wav"), "gone", "g" * 300, "no media"]
    done = call(
        ["s2s", stage, good[0], *(f"bad{workers}/{name}" for name in names), good[1], f"workers={workers}"],
        cwd=folder, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stdout.splitlines() == [f"{row['media']}\t{row['hypothesis']}" for row in rows[:2]]
    lines = [line for line in done.stderr.splitlines() if f"bad{workers}/" in line]
    assert len(lines) == len(names) and "\x1b" not in done.stderr
    for name in [
        "bomb.npy",
        "must be a regular file",
        r"red\x1b[31m.wav",
        r"\xff.wav",
        "no such file",
        "ggg",
        "no media",
    ]:
        assert any(name in line for line in lines), name


def test_pictures_beside_videos_are_no_frames(tmp_path: Path):
    for name in ("a.mp4", "poster.jpg", "frames/1.png", "notes/x.gif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list(media_files([str(tmp_path)], "video")) == [tmp_path / "a.mp4"]
    assert list(media_files([str(tmp_path / "frames")], "video")) == [tmp_path / "frames"]
    with pytest.raises(UserError, match=r"no video file found \(\.mp4"):
        list(media_files([str(tmp_path / "notes")], "video"))


def test_the_wrong_stage_is_named(finished):
    modality, folder, _ = finished
    app, stage, _ = APPS[modality]
    done = call(f"s2s translate app={app}", cwd=folder, check=False, stdin="hello\n")
    assert done.returncode == 2 and f"s2s {stage} FILE" in done.stderr
    done = call(f"s2s {stage}", cwd=folder, check=False)
    assert done.returncode == 2 and "name the" in done.stderr


# --------------------------------------------------------------- bad media


def test_as_one_file(finished, tmp_path: Path):
    """Also of arrays, which are read as the files are."""
    modality, folder, _ = finished
    app, stage, _ = APPS[modality]
    call(f"s2s export runs/{app}/default --to {tmp_path / 'mine.s2s'}", cwd=folder)
    said = call("s2s verify mine.s2s", cwd=tmp_path).stdout
    assert f"{app}, {modality} to text, fp32; 10 examples have the expected outputs" in said
    row = json.loads((run_folder(modality, folder) / "outputs.jsonl").read_text().splitlines()[0])
    file = folder / row["media"]
    assert call(f"s2s {stage} {file} model=mine.s2s", cwd=tmp_path).stdout == f"{file}\t{row['hypothesis']}\n"
    model = load(tmp_path / "mine.s2s")
    assert model.translate(file) == row["hypothesis"]
    if modality == "audio":
        import soundfile

        samples, rate = soundfile.read(file, dtype="int16")
        assert model.translate(samples, rate=rate) == row["hypothesis"]
    elif modality == "image":
        from PIL import Image

        assert model.translate(np.asarray(Image.open(file).convert("RGB"))) == row["hypothesis"]
