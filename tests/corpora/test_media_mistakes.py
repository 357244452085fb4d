"""Recordings, videos and pictures that cannot be used, that change, or whose packing is killed."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import BIN, call
from media import make_items, write_wav

from s2s_plugin.corpora import media as packing
from s2s_plugin.corpora.splits import SPLITS
from s2s_plugin.datasets.features import PackedFeatures
from s2s_plugin.datasets.manifest import read_manifest, write_manifest
from s2s_plugin.tasks.seq2seq import Seq2SeqTask, Seq2SeqTaskConfig
from s2s_plugin.utils.io import file_sha256

PREPARE = (
    "s2s prepare app=asr audio.sample_rate=8000 audio.mel_bins=20 subword.kind=word data=manifest data.manifest=my.tsv "
    "data.held_out=12"
)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """A manifest of 60 good recordings and two that are not."""
    items = make_items(tmp_path / "media", "audio", 60)
    (tmp_path / "media" / "7.wav").write_bytes(b"")
    (tmp_path / "media" / "21.wav").write_text("a text file")
    write_manifest(tmp_path / "my.tsv", "audio", items)
    return tmp_path


def test_changed_recordings_are_read_again(recordings: Path):
    manifest = recordings / "my.tsv"
    before = packing._stamp(manifest)
    path = read_manifest(manifest)[1][0].path
    assert packing._stamp(manifest) == before
    os.utime(path, ns=(1, 1))  # as many bytes as before
    assert packing._stamp(manifest) != before


def test_bad_media_are_refused_by_name(recordings: Path):
    done = call(PREPARE, cwd=recordings, check=False)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert re.search(
        r"s2s: error: my\.tsv:(9: \S+/7\.wav: 0 bytes|23: \S+/21\.wav: not a sound file).*data\.on_bad_item=skip",
        done.stderr,
    )
    assert not list(recordings.glob("data-bin/manifest.*"))


def test_bad_media_are_left_out_by_option(recordings: Path):
    with (recordings / "my.tsv").open("a", encoding="utf-8") as file:
        file.write("e1\tmedia/1.wav\t\t \t\t\t\n")  # without a text
    done = call(PREPARE + " data.on_bad_item=skip", cwd=recordings)
    assert "skipped my.tsv:62: tgt_text must not be empty" in done.stderr
    assert "61 pairs read, 58 kept, 3 left out" in done.stderr
    assert "1 malformed row: my.tsv:62" in done.stderr
    assert re.search(r"2 with an unusable file: my\.tsv:(9, 23|23, 9)\n", done.stderr)
    left_out = re.findall(r"skipped \w+ (i\d+): ", " ".join(done.stderr.split()))
    assert sorted(left_out) == ["i21", "i7"]
    counts = [int(n) for n in re.search(r"(\d+) / (\d+) / (\d+) pairs", done.stderr).groups()]
    assert sum(counts) == 58
    packed = json.loads(next(recordings.glob("data-bin/features/*/packed.json")).read_text())
    assert sorted(name for split in packed["skipped"].values() for name in split) == ["i21", "i7"]


def test_held_out_items_keep_count_and_order(tmp_path: Path):
    items = make_items(tmp_path / "media", "image", 60)
    items[3].path.write_text("no picture")
    items[50].path.write_bytes(b"")
    items[55].path.unlink()
    parts = {"my": items[:40], "valid": items[40:50], "test": items[50:]}
    for name, part in parts.items():
        write_manifest(tmp_path / f"{name}.tsv", "image", part)
    own = (
        "app=caption image.size=16 model=tiny model.encoder_channels=4 subword.kind=word data=manifest "
        "data.manifest=my.tsv data.valid_manifest=valid.tsv data.test_manifest=test.tsv data.on_bad_item=skip "
        "optimization.max_update=2 lr_scheduler.warmup_updates=1"
    )
    done, *_ = (call(f"s2s {stage} {own}", cwd=tmp_path) for stage in ("prepare", "train", "generate"))
    said = " ".join(done.stderr.split())
    assert "kept blank test i50: " in said and "kept blank test i55: " in said
    assert (
        "59 kept, 1 left out 1 with an unusable file: my.tsv:5 2 held-out with an unusable file, kept: test.tsv:2, 7"
        in said
    )
    folder = tmp_path / "runs" / "caption" / "default"
    rows = [json.loads(line) for line in (folder / "outputs.jsonl").read_text().splitlines()]
    assert [row["item"] for row in rows] == [item.id for item in items[50:]]
    assert [row["hypothesis"] for row in rows] == (folder / "test.hyp").read_text().splitlines()
    assert [row["item"] for row in rows if not row["hypothesis"]] == ["i50", "i55"]
    with (tmp_path / "test.tsv").open("a", encoding="utf-8") as file:
        file.write("e1\tmedia/1.png\t\t \t\t\t\n")  # without a text
    bad = call(f"s2s prepare {own}", cwd=tmp_path, check=False)
    assert bad.returncode == 2 and "test.tsv:12: tgt_text must not be empty" in bad.stderr


def test_files_shared_with_held_out_manifests_are_told(recordings: Path):
    items = read_manifest(recordings / "my.tsv")[1]
    copy = recordings / "copy.wav"
    copy.write_bytes(items[1].path.read_bytes())
    write_manifest(recordings / "test.tsv", "audio", [items[0], items[30]._replace(id="t", path=copy), items[59]])
    write_manifest(recordings / "my.tsv", "audio", items[:55])
    own = f"{PREPARE} data.test_manifest=test.tsv data.on_bad_item=skip"
    said = " ".join(call(own, cwd=recordings).stderr.split())
    assert "2 training pairs overlap your own held-out files (2 of 3 lines): scores will be inflated" in said
    said = " ".join(call(f"{own} data.drop_overlap=true", cwd=recordings).stderr.split())
    assert "58 pairs read, 54 kept, 4 left out 2 with a file that is held out: my.tsv:2, 3" in said


def test_rows_of_one_file_stay_in_one_split(recordings: Path):
    items = read_manifest(recordings / "my.tsv")[1][20:40]
    copy = recordings / "copy.wav"
    copy.write_bytes(items[3].path.read_bytes())
    rows = [item._replace(id=f"{take}{item.id}") for item in items for take in "abcd"]
    write_manifest(recordings / "my.tsv", "audio", [*rows, items[3]._replace(path=copy)])
    call(f"{PREPARE} data.on_bad_item=skip", cwd=recordings)
    prepared = next((recordings / "data-bin").glob("manifest.*"))
    splits = [read_manifest(prepared / f"{split}.tsv")[1] for split in SPLITS]
    files = [{file_sha256(item.path) for item in split} for split in splits]
    assert all(files) and sum(map(len, files)) == len(set[str]().union(*files)) >= 18


def test_long_texts_are_left_out_by_option(tmp_path: Path):
    items = make_items(tmp_path / "media", "audio", 60)
    write_manifest(tmp_path / "my.tsv", "audio", [item._replace(texts=("a " * 9,)) if item.id == "i3" else item
                                                  for item in items])  # fmt: skip
    limit = "data.max_length=5 audio.max_seconds=20"
    done = call(f"{PREPARE} {limit}", cwd=tmp_path, check=False)
    assert (
        "train i3: texts must have at most data.max_length=5 tokens, got up to 9; set data.max_length=9, or leave "
        in (done.stderr)
    )
    call(f"{PREPARE} {limit} data.on_bad_item=skip", cwd=tmp_path)
    prepared = next((tmp_path / "data-bin").glob("manifest.*"))
    task = Seq2SeqTask.setup_task(Seq2SeqTaskConfig(data=str(prepared)))
    task.load_dataset("train")
    sources, names = task.dataset("train").sources, [item.id for item in read_manifest(prepared / "train.tsv")[1]]
    assert "i3" not in names and len(names) == len(sources) == len(sources.features)
    packed = PackedFeatures(packing.packed_folder(prepared) / "train")
    assert len(packed) == len(names) + 1
    for number, name in enumerate(names):
        assert (sources.features[number] == packed[packed.ids.index(name)]).all()


def test_a_long_recording_names_all_limits(tmp_path: Path):
    write_manifest(tmp_path / "my.tsv", "audio", make_items(tmp_path / "media", "audio", 60))
    done = call(f"{PREPARE} audio.max_seconds=0.2", cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert (
        "raise audio.max_seconds, and task.max_source_positions and dataset.max_tokens to 100 a second" in done.stderr
    )


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("data.manifest=absent.tsv", "absent.tsv: cannot be read"),
        ("data.source_lang=video", "expected a column video (data.source_lang), got audio"),
        ("audio.mel_bins=many", "mel_bins"),
        ("data.on_bad_item=ignore", "data.on_bad_item must be error or skip, got ignore"),
    ],
)
def test_mistakes_are_named(recordings: Path, options: str, named: str):
    done = call(f"{PREPARE} {options}", cwd=recordings, check=False)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert named in done.stderr, done.stderr


@pytest.mark.slow
def test_killed_while_packing_it_goes_on(tmp_path: Path):
    items = make_items(tmp_path / "media", "audio", 40)
    noise = write_wav(tmp_path / "media" / "long.wav", np.random.default_rng(0).normal(0, 0.1, 400_000))
    items += [items[0]._replace(id=f"long{n}", path=noise, texts=(f"a b {n}",)) for n in range(400)]
    write_manifest(tmp_path / "my.tsv", "audio", items)
    words = shlex.split(PREPARE)
    process = subprocess.Popen(
        [str(BIN / words[0]), *words[1:]], cwd=tmp_path, stderr=subprocess.DEVNULL, start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("data-bin/features/*/train.state")):
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = json.loads(next(tmp_path.glob("data-bin/features/*/train.state")).read_text())["done"]
    assert 0 < done < 440
    assert not list(tmp_path.glob("data-bin/manifest.*"))
    call(PREPARE, cwd=tmp_path)
    whole = tmp_path / "whole"
    call(PREPARE + f" prepared_dir={whole}", cwd=tmp_path)
    for split in ("train", "valid", "test"):
        one = next(tmp_path.glob(f"data-bin/features/*/{split}.bin")).read_bytes()
        assert one == next(whole.glob(f"features/*/{split}.bin")).read_bytes()
