"""Maps of attention in a terminal: where each weight is drawn, in 80 columns, whatever the script."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

from s2s_plugin.explain.heat_map import SHADES, heat_map
from s2s_plugin.report.run import Attention
from s2s_plugin.utils.columns import width
from s2s_plugin.utils.console import ACCENT, RESET, STRONG


def columns_of(line: str) -> list[str]:
    """Return the character in each column; a wide one is in two."""
    return [character for character in line for _ in range(width(character))]


SCRIPTS = {
    "latin": ["▁The", "▁window", "▁o", "pens", ".", "</s>"],
    "hangul": ["▁새", "▁창이", "▁열립니다", ".", "</s>"],
    "kana": ["▁新しい", "ウインドウ", "が", "開く", "。", "</s>"],
    "marks": ["▁e\u0301te\u0301", "▁กำ\u0e31", "\u0301", "</s>"],
}


@pytest.mark.parametrize("source", SCRIPTS)
@pytest.mark.parametrize("target", SCRIPTS)
def test_a_shade_stands_below_its_source_token(source: str, target: str):
    sources, targets = SCRIPTS[source], SCRIPTS[target]
    weights = np.zeros((len(targets), len(sources)))
    for row in range(len(targets)):
        weights[row, row % len(sources)] = 0.9
    head, *rows = heat_map(Attention(1, targets, weights, sources))
    for row, line in enumerate(rows):
        cells = columns_of(line)
        shaded = [place for place, cell in enumerate(cells) if cell == "█"]
        token = sources[row % len(sources)]
        assert len(shaded) == max(2, width(token))
        assert columns_of(head)[shaded[0] : shaded[0] + width(token)] == columns_of(token)
        assert line.startswith(targets[row])


@pytest.mark.parametrize(("tokens", "blocks"), [(["▁word"] * 10, 1), (["▁word"] * 11, 2), (["▁한국어낱말"] * 50, 10)])
def test_a_long_source_is_folded(tokens: list[str], blocks: int):
    weights = np.linspace(0, 1, 3 * len(tokens)).reshape(3, -1)
    lines = list(heat_map(Attention(1, ["a" * 30, "b", "</s>"], weights, tokens)))
    assert max(map(width, lines)) <= 80 and len(lines) == 5 * blocks - 1
    shades = ["".join(part for line in lines[row::5] for part in line[16:].split()) for row in (1, 2, 3)]
    assert [len(row) // len(shades[2]) for row in shades] == [0, 1, 1]
    assert set(shades[2]) <= {"▓", "█"} and set("".join(shades)) == set(SHADES.strip())


def test_a_time_axis_adds_the_weights_of_its_bins():
    weights = np.zeros((2, 600))
    weights[0, 300:310], weights[1, 599] = 0.1, 0.3
    item = Attention(1, ["▁zero", "</s>"], weights, modality="audio", signal=np.zeros((1200, 4)), stride=2,
                     seconds_per_frame=0.01)  # fmt: skip
    head, first, last = heat_map(item)
    assert head == "      0" + "12.0 s".rjust(59)
    assert first == "▁zero " + " " * 30 + "█" and last == "</s>  " + " " * 59 + "▒"


def test_a_grid_for_each_token_of_a_caption():
    weights = np.zeros((8, 12))
    weights[np.arange(8), np.arange(8)] = 0.5
    lines = list(heat_map(Attention(1, [*"abcdefg", "h" * 11], weights, modality="image", grid=(3, 4))))
    assert lines == [
        "a           b           c           d           e           f",
        "██            ██            ██            ██",
        " " * 48 + "██            ██",
        "",
        "",
        "g           hhhhhhhhh…",
        "",
        "    ██            ██",
        "",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colors_are_for_terminals(monkeypatch: pytest.MonkeyPatch):
    item = Attention(1, ["a"], np.array([[0.3, 0.6]]), ["x", "y"])
    plain = list(heat_map(item))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout", Terminal())
    colored = list(heat_map(item))
    assert colored[1] == f"a {ACCENT}▒▒{RESET} {STRONG}▓▓{RESET}" and plain[1] == "a ▒▒ ▓▓"
    monkeypatch.setenv("NO_COLOR", "1")
    assert list(heat_map(item)) == plain
