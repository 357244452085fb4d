"""Multi30k, on its real files."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest
from recipes import assert_manifest, read, sample

from s2s_plugin.corpora.recipe import load_recipe
from s2s_plugin.errors import UserError

multi30k = load_recipe("multi30k")


@pytest.fixture
def multi30k_files() -> Path:
    return sample("multi30k")


def test_multi30k_is_the_official_split(multi30k_files, tmp_path):
    out = multi30k.prepare(tmp_path / "out", "de", "en", tmp_path / "cache", from_dir=multi30k_files)
    files = assert_manifest(out, "multi30k")
    assert [files[f"{name}.de"]["lines"] for name in ("train", "valid", "test")] == [29_000, 1_014, 1_000]
    for split, (stem, _) in multi30k.SPLITS.items():
        for lang in ("de", "en"):
            packed = (multi30k_files / f"{stem}.{lang}.gz").read_bytes()
            official = gzip.decompress(packed).decode("utf-8").split("\n")[:-1]
            written = read(out, f"{split}.{lang}")
            assert [line.split() for line in official] == [line.split() for line in written]


def test_multi30k_refuses_other_files(multi30k_files, tmp_path):
    folder = tmp_path / "source"
    shutil.copytree(multi30k_files, folder)
    (folder / "val.en.gz").chmod(0o644)
    (folder / "val.en.gz").write_bytes(gzip.compress(b"only one line\n"))
    with pytest.raises(UserError, match=r"val\.en\.gz has 1 lines, the official file has 1,014"):
        multi30k.prepare(tmp_path / "out", "de", "en", tmp_path / "cache", from_dir=folder)
    (folder / "val.en.gz").write_bytes(b"no gzip")
    with pytest.raises(UserError, match=r"val\.en\.gz: not compressed as its name says"):
        multi30k.prepare(tmp_path / "out", "de", "en", tmp_path / "cache", from_dir=folder)
