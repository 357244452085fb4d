"""Manifests: what is written is read again; every mistake is named by file and line."""

from __future__ import annotations

import csv
import io
import os
import unicodedata

import pytest

from s2s_plugin.datasets.manifest import Item, read_manifest, split_slice, write_manifest
from s2s_plugin.errors import UserError

HEADER = "id\taudio\tn_frames\ttgt_text\tspeaker\n"


def test_written_items_come_back(tmp_path):
    items = [
        Item("a", tmp_path / "a.wav", ("one",), "ann", 12),
        Item("b", tmp_path / "b c.wav", ("two", "두\u00a0개"), "", 0, "3x4+1+2"),
    ]
    write_manifest(tmp_path / "x.tsv", "audio", items)
    modality, found = read_manifest(tmp_path / "x.tsv")
    assert modality == "audio"
    assert found == [items[0], items[1]._replace(texts=("two", "두 개"))]


def test_columns_of_fairseq_in_any_order_and_paths_beside_the_manifest(tmp_path):
    path = tmp_path / "x.tsv"
    path.write_text("tgt_text\tid\timage\nA  cat\tx1\tsub/x1.png\n\n", encoding="utf-8-sig")
    assert read_manifest(path) == ("image", [Item("x1", tmp_path / "sub" / "x1.png", ("A cat",))])


def test_line_breaks_in_a_text_do_not_break_the_file(tmp_path):
    write_manifest(tmp_path / "x.tsv", "video", [Item("a", tmp_path / "a.mp4", ("one\ttwo\nthree\u2028four",))])
    assert read_manifest(tmp_path / "x.tsv")[1][0].texts == ("one two three four",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ":1: expected the columns id, tgt_text and one of"),
        ("id\taudio\n", ":1: expected the columns id, tgt_text and one of"),
        ("id\taudio\timage\ttgt_text\n", ":1: expected the columns id, tgt_text and one of"),
        (HEADER, "expected rows below the header"),
        (HEADER + "a\ta.wav\t3\thello\n", ":2: expected 5 columns separated by tabs, got 4"),
        (HEADER + "a\ta.wav\t\tone\t\n\ta.wav\t\ttwo\t\n", ":3: id must not be empty"),
        (HEADER + "a\t\t\tone\t\n", ":2: audio must not be empty"),
        (HEADER + "a\ta.wav\tlong\tone\t\n", ":2: n_frames must be a number or empty, got 'long'"),
        (HEADER + "a\ta.wav\t\t \t\n", ":2: tgt_text must not be empty"),
        (HEADER + "a\ta.wav\t\tone\t\na\tb.wav\t\ttwo\t\n", ":3: id 'a' must have one file"),
    ],
)
def test_mistakes_are_named(tmp_path, content, message):
    path = tmp_path / "my.tsv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_manifest(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_not_utf8_and_missing(tmp_path):
    path = tmp_path / "my.tsv"
    with pytest.raises(UserError, match="cannot be read"):
        read_manifest(path)
    path.write_bytes(b"id\taudio\ttgt_text\na\ta.wav\t\xff\n")
    with pytest.raises(UserError, match="byte 27 is not UTF-8"):
        read_manifest(path)


ROWS = [
    ["id", "audio", "n_frames", "tgt_text"],
    ["a", "a.wav", "3", 'He said "hi".'],
    ["b", "b.wav", "4", "plain, or so"],
]
BREAKING = ["c", "c.wav", "5", 'one\nand "two"\tthree']


def written(rows: list[list[str]], **dialect) -> str:
    file = io.StringIO()
    csv.writer(file, delimiter="\t", lineterminator="\n", **dialect).writerows(rows)
    return file.getvalue()


def excel(rows: list[list[str]]) -> str:
    cells = [['"{}"'.format(c.replace('"', '""')) if set(c) & set('",\t\n') else c for c in row] for row in rows]
    return "\r\n".join("\t".join(row) for row in cells) + "\r\n"


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (written(ROWS, quoting=csv.QUOTE_MINIMAL), ROWS),
        (written([*ROWS, BREAKING], quoting=csv.QUOTE_MINIMAL), [*ROWS, BREAKING]),
        (written([*ROWS, BREAKING], quoting=csv.QUOTE_ALL), [*ROWS, BREAKING]),
        (excel([*ROWS, BREAKING]), [*ROWS, BREAKING]),
        (written(ROWS, quoting=csv.QUOTE_NONE, escapechar="\\"), ROWS),  # fairseq's save_df_to_tsv
        ("\n".join("\t".join(row) for row in ROWS), ROWS),  # as fairseq's datasets read it
    ],
)
def test_quotes_that_a_program_has_written_are_taken_off(tmp_path, content, rows):
    (tmp_path / "x.tsv").write_bytes(content.encode())
    items = read_manifest(tmp_path / "x.tsv", own=True)[1]
    assert [item.texts for item in items] == [(" ".join(row[3].split()),) for row in rows[1:]]


@pytest.mark.parametrize(
    "text", ['"Yes."', '"Yes," he said', 'the 5" disk', r"a \ b", '"a" and "b"', '""', r"\"{o}", '"']
)
def test_quotes_in_a_plain_file_mean_themselves(tmp_path, text):
    lines = [*("\t".join(row) for row in ROWS), f"d\td.wav\t9\t{text}"]
    (tmp_path / "x.tsv").write_text("\n".join(lines), encoding="utf-8")
    assert [each.texts[0] for each in read_manifest(tmp_path / "x.tsv", own=True)[1]][-1] == text
    write_manifest(tmp_path / "y.tsv", "audio", [Item("a", tmp_path / "a.wav", (text,))])
    assert read_manifest(tmp_path / "y.tsv")[1][0].texts == (text,)


def test_malformed_rows_are_left_out_by_option(tmp_path):
    rows = [
        "a\ta.wav\t\tone\t",
        "b\tb.wav\t\t \t",
        "c\t\t\ttwo\t",
        "d\td.wav\t3",
        "a\tx.wav\t\tone\t",
        "e\te.wav\t7.0\tsix\t",
    ]
    (tmp_path / "x.tsv").write_text(HEADER + "\n".join(rows), encoding="utf-8")
    bad: list[str] = []
    items = read_manifest(tmp_path / "x.tsv", skipped=bad)[1]
    assert [(item.id, item.texts, item.frames) for item in items] == [("a", ("one",), 0), ("e", ("six",), 7)]
    assert [line.split(": ")[0].rsplit(":", 1)[1] for line in bad] == ["3", "4", "5", "6"]
    assert "tgt_text must not be empty" in bad[0]


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
def test_names_composed_unlike_those_on_disk(tmp_path, on_disk):
    name, written_as = unicodedata.normalize(on_disk, "été/말.wav"), {"NFC": "NFD", "NFD": "NFC"}[on_disk]
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).touch()
    row = "a\t{}\t\tone\t\nb\t{}:3:4\t\ttwo\t\nc\tgone-é.wav\t\tthree\t"
    other = unicodedata.normalize(written_as, name)
    (tmp_path / "x.tsv").write_text(HEADER + row.format(other, other), encoding="utf-8")
    first, second, third = read_manifest(tmp_path / "x.tsv", own=True)[1]
    assert first.path == tmp_path / name and split_slice(second.path) == (tmp_path / name, (3, 4))
    assert third.path == tmp_path / "gone-é.wav"


def test_a_pipe_is_no_manifest(tmp_path):
    os.mkfifo(tmp_path / "x.tsv")
    with pytest.raises(UserError, match="must be a regular file"):
        read_manifest(tmp_path / "x.tsv")
