"""SCAN, on its real files: the official splits, but for validation."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest
from recipes import assert_manifest, read, sample

from s2s_plugin.corpora.recipe import load_recipe
from s2s_plugin.corpora.splits import SPLITS
from s2s_plugin.errors import UserError

scan = load_recipe("scan")
SIZES = {
    "simple": [16_246, 482, 4_182],
    "length": [16_493, 497, 3_920],
    "addprim_jump": [14_278, 392, 7_706],
    "addprim_turn_left": [21_315, 575, 1_208],
    "template_around_right": [14_787, 438, 4_476],
}


@pytest.mark.parametrize("split", SIZES)
def test_splits_are_the_official_ones(split: str, tmp_path: Path):
    files = sample("scan")
    out = scan.prepare(tmp_path / "out", "en", "actions", tmp_path, from_dir=files, split=split)
    written = assert_manifest(out, "scan")
    assert [written[f"{each}.actions"]["lines"] for each in SPLITS] == SIZES[split]
    lines = {}
    for each in SPLITS:
        pairs = zip(read(out, f"{each}.en"), read(out, f"{each}.actions"), strict=True)
        lines[each] = [f"IN: {command} OUT: {actions}" for command, actions in pairs]
    official = {
        each: gzip.decompress((files / f"tasks_{each}_{split}.txt.gz").read_bytes()).decode().splitlines()
        for each in ("train", "test")
    }
    assert lines["test"] == official["test"]
    assert sorted(lines["train"] + lines["valid"]) == sorted(official["train"])
    assert not {line.partition(" OUT")[0] for line in lines["valid"]} & {
        line.partition(" OUT")[0] for line in lines["train"] + lines["test"]
    }


def test_what_it_expects_of_downloads_is_what_the_sample_has():
    files = sample("scan")
    for name, expected in scan.EXPECTED.items():
        content = gzip.decompress((files / f"{name}.gz").read_bytes())
        assert (len(content), hashlib.sha256(content).hexdigest()) == (expected.size, expected.sha256)


def test_other_splits_and_files_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"split must be one of simple, length, .*, got 'mcd1'"):
        scan.prepare(tmp_path / "out", "en", "actions", tmp_path, from_dir=tmp_path, split="mcd1")
    with pytest.raises(UserError, match=r"no tasks_train_length\.txt in .*: it is length_split/"):
        scan.prepare(tmp_path / "out", "en", "actions", tmp_path, from_dir=tmp_path, split="length")
    (tmp_path / "tasks_train_length.txt").write_text("IN: walk OUT: I_WALK\nwalk twice\n")
    with pytest.raises(UserError, match=r"tasks_train_length\.txt:2: expected 'IN: command OUT: actions'"):
        scan.prepare(tmp_path / "out", "en", "actions", tmp_path, from_dir=tmp_path, split="length")
