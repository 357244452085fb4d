"""``data.pairs``: tables in every format and compression, and their mistakes."""

from __future__ import annotations

import csv
import gzip
import json
import tracemalloc
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from own_tables import COMPRESSIONS, EXPECTED, arrow, delimited, nested, objects, read, settings

from s2s_plugin.corpora import tables
from s2s_plugin.corpora.lines import MAX_LINE, checked_lines
from s2s_plugin.corpora.parallel import _read_pairs
from s2s_plugin.corpora.tally import Tally
from s2s_plugin.errors import UserError
from s2s_plugin.utils.compression import open_binary, plain_path


def raw_tsv() -> bytes:
    """Quotation marks are text, as in Tatoeba's and OPUS's files."""
    return ("en\tde\n" + "".join(f"{source}\t{target}\n" for source, target in EXPECTED)).encode()


FORMATS = {
    "my.csv": lambda: delimited(","),
    "excel.csv": lambda: b"\xef\xbb\xbfsep=;\r\n" + delimited(";", end="\r\n"),
    "semicolons.csv": lambda: delimited(";"),
    "all quoted.csv": lambda: delimited(",", csv.QUOTE_ALL),
    "my.psv": lambda: delimited("|"),
    "my.tsv": raw_tsv,
    "quoted.tsv": lambda: delimited("\t"),
    "no ending": lambda: delimited("\t"),
    "my.json": lambda: json.dumps(objects()).encode(),
    "indented.json": lambda: json.dumps(objects(), indent=2, ensure_ascii=False).encode(),
    "inside.json": lambda: json.dumps({"version": 1, "data": nested()}).encode(),
    "lines.json": lambda: "\n".join(map(json.dumps, nested())).encode(),
    "my.jsonl": lambda: "\r\n".join(json.dumps(row, ensure_ascii=False) for row in objects()).encode(),
    "nested.jsonl": lambda: "\n".join(map(json.dumps, nested())).encode(),
    "my.parquet": lambda: arrow("parquet", objects()),
    "nested.parquet": lambda: arrow("parquet", nested()),
    "stream.arrow": lambda: arrow("stream", nested()),
    "my.feather": lambda: arrow("file", objects()),
}


@pytest.mark.parametrize("ending", COMPRESSIONS)
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_and_compression(tmp_path: Path, name: str, ending: str, capsys: pytest.CaptureFixture):
    file = tmp_path / f"{name}{ending}"
    file.write_bytes(COMPRESSIONS[ending](FORMATS[name]()))
    assert read(file) == EXPECTED
    assert tables.languages(settings(file)) == ("en", "de")
    column = "translation.{}" if "nested" in name or name in ("inside.json", "lines.json", "stream.arrow") else "{}"
    taken = f"source is column {column.format('en')}, target is column {column.format('de')}"
    assert " ".join(capsys.readouterr().err.split()) == f"{file}: {taken}"


@pytest.mark.parametrize("ending", COMPRESSIONS)
def test_plain_text_may_be_compressed(tmp_path: Path, ending: str):
    file = tmp_path / f"my.en{ending}"
    file.write_bytes(COMPRESSIONS[ending](b"a b\nc d\n" * 50_000))
    assert list(checked_lines(file)) == ["a b", "c d"] * 50_000
    assert plain_path(file) == tmp_path / "my.en"


@pytest.mark.parametrize("ending", [ending for ending in COMPRESSIONS if ending])
def test_a_compressed_file_that_is_cut_short(tmp_path: Path, ending: str):
    file = tmp_path / f"my.csv{ending}"
    file.write_bytes(COMPRESSIONS[ending](delimited(","))[:-9])
    with pytest.raises(UserError, match=r"my\.csv\.\w+: the compressed file is cut short or damaged"):
        read(file)


GOOD = b"en,de\nb c,d e\n"
BAD = {
    "ragged": ("my.csv", GOOD + b"f g\nh i,j k\n", "my.csv:3: expected 2 cells, got 1"),
    "too many cells": ("my.csv", GOOD + b"f, g,h\n", "my.csv:3: expected 2 cells, got 3"),
    "after a line break": ("my.csv", GOOD + b'"f\ng",h\ni\n', "my.csv:5: expected 2 cells, got 1"),
    "not UTF-8": ("my.csv", GOOD + b"caf\xe9,x\n", "my.csv:3: byte 4 is not UTF-8"),
    "quotation marks": ("my.csv", b'en,de\n"b ""c""","d"\n' * 9 + b'"f" g,h\n', "my.csv:19: .*quotation mark"),
    "not closed": ("my.csv", b'en,de\n"b, c","d"\n' * 9 + b'"f g,h\n', "my.csv:19: .*is a quotation mark not closed"),
    "too long": ("my.csv", GOOD + b"f" * (MAX_LINE + 1) + b",g\n", "my.csv:3: a line must have at most 20,000"),
    "broken line": ("my.jsonl", b'{"en": "b", "de": "c"}\n{"en": \n', r"my.jsonl:2: .*JSON object \(Expecting value"),
    "not an object": ("my.jsonl", b'{"en": "b", "de": "c"}\n3\n', "my.jsonl:2: expected a JSON object .got int"),
    "half a character": ("my.jsonl", b'{"en": "b \\ud83d", "de": "c"}\n', "my.jsonl:1: byte 3 is not UTF-8"),
    "a list": ("my.jsonl", b'{"en": "b", "de": ["c"]}\n', "my.jsonl:1: the cell of de must be text, got list"),
    "deep": ("my.jsonl", b'{"en":' * 100_000, "my.jsonl:1: .*nested too deeply"),
    "deep list": ("my.json", b'[{"en":' * 100_000, "my.json:1: .*nested too deeply"),
    "broken list": ("my.json", b'[{"en": "b", "de": "c"}, {"en" "b"}]', "my.json:1: broken JSON"),
    "cut list": ("my.json", b'[{"en": "b", "de": "c"}, {"en": "b"', "my.json:1: broken JSON"),
    "no list": ("my.json", b"12", "my.json: expected a JSON list of objects"),
    "empty list": ("my.json", b"[]", "my.json: the table is empty"),
    "UTF-16": ("my.csv", "en,de\nb,c\n".encode("utf-16"), "my.csv: the encoding is UTF-16, expected UTF-8"),
    "spreadsheet": ("my.xlsx", b"PK", "my.xlsx: a spreadsheet cannot be read; save it as CSV"),
    "no Parquet": ("my.parquet", GOOD, "my.parquet:1: cannot be read as Parquet or Arrow"),
    "no Arrow": ("my.arrow", GOOD, "my.arrow:1: cannot be read as Parquet or Arrow"),
    "the same sides": ("my.csv", b"en,de\nb c,b c\nd,d\n", "the source and the target must differ, got the same 2"),
    "empty": ("my.csv", b"", "my.csv: expected a table"),
}


@pytest.mark.parametrize("case", BAD)
def test_mistakes_are_named_by_row(tmp_path: Path, case: str):
    name, content, message = BAD[case]
    if "Parquet" in case or "Arrow" in case:
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(content)
    data = settings(tmp_path / name, source_column="en", target_column="de", on_bad_item="error")
    with pytest.raises(UserError, match=message):
        _read_pairs(OmegaConf.create({"data": data, "subword": {"lossless": False}}), "", Tally())


def test_line_breaks_that_cannot_be_kept(tmp_path: Path):
    (tmp_path / "my.csv").write_text('en,de\n  b c,d\n"e\nf",g\n')
    kept, refused = read(tmp_path / "my.csv", lossless=True)
    assert kept == ("  b c", "d")
    assert refused[0].endswith("my.csv:3: the cell of en has a line break, which subword.lossless=true cannot keep")


def test_empty_cells_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "my.csv").write_text("en,de,x\nb,c,1\n,d,2\ne, ,3\n\nf,g,\n")
    data, tally = settings(tmp_path / "my.csv", source_column="en", target_column="de", on_bad_item="error"), Tally()
    cfg = OmegaConf.create({"data": data, "subword": {"lossless": False}})
    assert _read_pairs(cfg, "", tally) == [("b", "c"), ("f", "g")]
    capsys.readouterr()
    tally.say(2)
    block = "4 pairs read, 2 kept, 2 left out 2 with an empty side: {}/my.csv:3, 4"
    assert " ".join(capsys.readouterr().err.split()) == block.format(tmp_path)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_memory_does_not_grow_with_the_table(tmp_path: Path, kind: str):
    rows = [{"en": f"{i} " * 50, "de": f"x {i}" * 50} for i in range(20_000)]
    file = tmp_path / f"my.{kind}.gz"
    with gzip.open(file, "wt", 1, newline="") as text:
        if kind == "jsonl":
            text.writelines(f"{json.dumps(row)}\n" for row in rows)
        else:
            csv.writer(text).writerows([("en", "de"), *(row.values() for row in rows)])
    del rows
    tracemalloc.start()
    assert sum(1 for _ in tables.read_rows(file)) == 20_000
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_open_binary_names_what_is_missing(tmp_path: Path):
    with pytest.raises(UserError, match=r"x: cannot be read .No such file"), open_binary(tmp_path / "x"):
        pass
