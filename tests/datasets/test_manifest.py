"""Manifests: what is written is read again; every mistake is named by file and line."""

from __future__ import annotations

import pytest

from s2s_plugin.datasets.manifest import Item, read_manifest, write_manifest
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
