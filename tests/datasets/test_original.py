"""The text behind a binarised corpus."""

from __future__ import annotations

from pathlib import Path

import pytest
from fairseq.data import Dictionary, data_utils

from s2s_plugin.datasets.original import OriginalText
from s2s_plugin.errors import UserError


@pytest.fixture
def dictionary() -> Dictionary:
    dictionary = Dictionary()
    dictionary.add_symbol("a")
    return dictionary


@pytest.mark.parametrize("text", ["a zebra\na\n", "a zebra\na", "a zebra\r\na\r\n", "a zebra\u2028a\x85\na\n"])
def test_lines_are_those_that_fairseq_reads(tmp_path: Path, dictionary: Dictionary, text: str):
    """Of ``--dataset-impl raw``; also where the last line has no end."""
    (tmp_path / "test.src").write_bytes(text.encode())
    items = data_utils.load_indexed_dataset(str(tmp_path / "test.src"), dictionary, "raw")
    original = OriginalText(tmp_path / "test.src", str, items, dictionary)
    assert [original.get_original_text(i).split() for i in range(2)] == [line.split() for line in items.lines]


def test_another_text_is_refused(tmp_path: Path, dictionary: Dictionary):
    (tmp_path / "test.src").write_text("a\na\n")
    with pytest.raises(UserError, match="2 lines, but 1 items"):
        OriginalText(tmp_path / "test.src", str, [dictionary.encode_line("a")], dictionary).get_original_text(0)


def test_without_the_text_symbols_stand_in(tmp_path: Path, dictionary: Dictionary):
    original = OriginalText(
        tmp_path / "none", str, [dictionary.encode_line("a zebra", add_if_not_exist=False)], dictionary
    )
    assert original.get_original_text(0) == "a <unk>"
