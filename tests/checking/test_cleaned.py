"""The copy of a corpus without some rows, in every format."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from own_tables import COMPRESSIONS, PAIRS, arrow, data_config, objects, read, save_to_disk

from s2s_plugin.checking import whole
from s2s_plugin.checking.cleaned import write_cleaned
from s2s_plugin.checking.corpus import read_corpus
from s2s_plugin.checking.scan import Scan
from s2s_plugin.errors import UserError
from s2s_plugin.utils.compression import open_binary

ROWS = [
    *objects()[:20],
    {"id": "20", "en": PAIRS[1][0], "de": PAIRS[1][1]},
    {"id": "21", "en": "", "de": "Leer"},
    *objects()[20:],
]
LEFT_OUT = (20, 21)  # a repeated pair, whose cells have line breaks, and one with an empty side


def content(name: str, rows: list[dict]) -> bytes:
    """The rows in the format that the name says."""
    if name.startswith("my.csv"):
        file = io.StringIO(newline="")
        csv.writer(file).writerows([rows[0].keys(), *(row.values() for row in rows)])
        return b"\xef\xbb\xbf" + file.getvalue().encode()
    if name.startswith("my.jsonl"):
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    if name == "my.json":
        return json.dumps({"version": 1, "data": rows}, ensure_ascii=False, indent=1).encode() + b"\n"
    return arrow({"my.parquet": "parquet", "my.arrow": "stream", "my.feather": "file"}[name], rows)


def copy(tmp_path: Path, **options: object) -> tuple[int, int]:
    """Write the copy to ``clean``; return the numbers of rows kept and left out."""
    (tmp_path / "work").mkdir()
    cfg, scan = data_config(**options), Scan(tmp_path / "work", signal=False)
    scan.read(read_corpus(cfg))
    whole.find_duplicates(scan.index)
    return write_cleaned(cfg, scan.index, ["empty", "duplicate"], tmp_path / "clean")


@pytest.mark.parametrize("compression", ["", ".gz", ".bz2", ".xz", ".zst"])
@pytest.mark.parametrize("name", ["my.csv", "my.jsonl"])
def test_other_lines_are_the_same_bytes(tmp_path: Path, name: str, compression: str):
    path = tmp_path / f"{name}{compression}"
    path.write_bytes(COMPRESSIONS[compression](content(name, ROWS)))
    assert copy(tmp_path, pairs=str(path)) == (len(ROWS) - 2, 2)
    with open_binary(tmp_path / "clean" / path.name) as file:
        assert file.read() == content(name, [row for number, row in enumerate(ROWS) if number not in LEFT_OUT])


@pytest.mark.parametrize("name", ["my.json", "my.parquet", "my.arrow", "my.feather"])
def test_other_rows_are_the_same(tmp_path: Path, name: str):
    path = tmp_path / name
    path.write_bytes(content(name, ROWS))
    assert copy(tmp_path, pairs=str(path)) == (len(ROWS) - 2, 2)
    pairs = read(path)
    assert read(tmp_path / "clean" / name) == [pair for number, pair in enumerate(pairs) if number not in LEFT_OUT]
    if name == "my.json":
        rows = [row for number, row in enumerate(ROWS) if number not in LEFT_OUT]
        assert (tmp_path / "clean" / name).read_bytes() == content(name, rows)


def test_the_list_says_what_why_and_from_where(tmp_path: Path):
    path = tmp_path / "my.jsonl"
    path.write_bytes(content("my.jsonl", ROWS))
    copy(tmp_path, pairs=str(path))
    source, target = (" ".join(text.split()) for text in PAIRS[1])
    lines = [
        f"{path}\t21\tduplicate\t\t{path}:2\t{source}\t{target}",
        f"{path}\t22\tempty\tthe source is empty\t\t\tLeer",
    ]
    assert (tmp_path / "clean/removed.tsv").read_text().splitlines()[1:] == lines


def test_a_folder_of_a_dataset_is_copied_whole(tmp_path: Path):
    rows = [{"en": f"the sentence {number}", "de": f"der Satz {number}"} for number in range(60)]
    save_to_disk(tmp_path / "hub" / "train", [*rows[:50], rows[0]], shards=2)
    save_to_disk(tmp_path / "hub" / "test", [*rows[50:], rows[50]])  # of a test set every row stays
    (tmp_path / "hub" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert copy(tmp_path, pairs=f"{tmp_path}/hub") == (50, 1)
    names = {path.relative_to(tmp_path / "hub") for path in (tmp_path / "hub").rglob("*")}
    assert {path.relative_to(tmp_path / "clean") for path in (tmp_path / "clean").rglob("*")} == {
        *names,
        Path("removed.tsv"),
    }
    assert len(read(tmp_path / "clean")) == 50 and len(read(tmp_path / "clean", "test_")) == 11


def test_files_of_one_name_are_refused(tmp_path: Path):
    for side in ("one", "other"):
        (tmp_path / side).mkdir()
        (tmp_path / side / "my.txt").write_text("a b c\n")
    with pytest.raises(UserError, match=r"two files are named my\.txt"):
        copy(tmp_path, source=f"{tmp_path}/one/my.txt", target=f"{tmp_path}/other/my.txt")
    assert not (tmp_path / "clean").exists()
