"""``data.pairs``: folders of tables, by split or as the library datasets saves them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from own_tables import EXPECTED, nested, objects, read, save_to_disk, settings, write_splits

from s2s_plugin.corpora import tables
from s2s_plugin.errors import UserError


def test_a_saved_dataset(tmp_path: Path):
    save_to_disk(tmp_path / "one", nested(), shards=3)
    assert read(tmp_path / "one") == EXPECTED
    assert tables.find(settings(tmp_path / "one"), "valid_") is None
    assert len(tables.table_files(tmp_path / "one")) == 3


@pytest.mark.parametrize("kind", ["saved", "parquet", "data"])
def test_a_folder_of_splits(tmp_path: Path, kind: str):
    write_splits(tmp_path, kind)
    assert read(tmp_path) == EXPECTED[:30]
    assert read(tmp_path, "valid_") == EXPECTED[30:34]
    assert read(tmp_path, "test_") == EXPECTED[34:]
    (tmp_path / "my.jsonl").write_text(json.dumps(objects()[0]))
    assert read(tmp_path, "test_", test_pairs=str(tmp_path / "my.jsonl")) == EXPECTED[:1]
    assert read(tmp_path / "my.jsonl", "valid_", valid_pairs=str(tmp_path)) == EXPECTED[30:34]


def test_folders_that_are_no_dataset(tmp_path: Path):
    with pytest.raises(UserError, match="expected a folder that datasets has saved, or files named by their split"):
        read(tmp_path)
    for name in ("validation", "test"):
        save_to_disk(tmp_path / name, nested())
    with pytest.raises(UserError, match="the folder has no split train, only test, valid"):
        read(tmp_path)
    next((tmp_path / "test").glob("*.arrow")).unlink()
    with pytest.raises(UserError, match="expected a folder that datasets has saved"):
        read(tmp_path, "test_")
    with pytest.raises(UserError, match="nothing: cannot be read"):
        read(tmp_path / "nothing")


@pytest.mark.parametrize("library", ["pyarrow", "zstandard"])
def test_libraries_that_are_missing(tmp_path: Path, library: str, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / {"pyarrow": "my.parquet", "zstandard": "my.csv.zst"}[library]
    file.write_bytes({"pyarrow": b"PAR1", "zstandard": b"\x28\xb5\x2f\xfd"}[library])
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UserError, match=rf"{file}: requires {library}: pip install {library}"):
        read(file)
