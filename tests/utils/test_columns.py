"""Columns of a terminal: what takes two, one or none."""

from __future__ import annotations

import unicodedata

import pytest

from s2s_plugin.utils.columns import fit, pad, width, wrap

LONG = "The 회의록 of 東京 이사회 " * 9


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("window", 6),
        ("한국어", 6),
        (unicodedata.normalize("NFD", "한국어"), 6),  # vowels and finals join the first consonant
        ("東京タワー", 10),
        ("ﾀﾜｰ", 3),  # half-width kana
        ("Ａ１", 4),  # full-width letters
        ("e\u0301", 1),
        ("กำ\u0e31", 2),  # Thai: a mark above has combining class 0
        ("\u200bx\u2060", 1),
        ("▁░▒▓█", 5),
    ],
)
def test_width(text: str, columns: int):
    assert width(text) == columns
    assert width(pad(text, 12)) == 12 and pad(text, 12).rstrip() == text
    assert width(pad(text * 9, 7)) == 7


def test_a_cut_is_marked():
    assert fit("한국어", 6) == "한국어" and fit("한국어", 5) == "한국…" and fit("한국어", 4) == "한…"


@pytest.mark.parametrize("columns", [9, 20, 80])
def test_lines_are_full_and_lose_nothing(columns: int):
    lines = list(wrap(f"{LONG}{'x' * 100}", columns, "  "))
    assert max(map(width, lines)) <= columns
    assert "".join("".join(lines).split()) == "".join(f"{LONG}{'x' * 100}".split())
    assert all(line.startswith("  ") and line[2] != " " for line in lines[1:])
    assert list(wrap("two words", columns)) == ["two words"]
    assert list(wrap("", columns)) == [""]
