"""Weights in a terminal: shades of block characters, colored where standard output is a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from s2s_plugin.errors import visible
from s2s_plugin.report.run import Attention
from s2s_plugin.utils.columns import pad, width
from s2s_plugin.utils.console import WIDTH, shaded

SHADES = " ░▒▓█"
LIMITS = (0.05, 0.25, 0.5, 0.75)  # weights from which on the second to the last shade is drawn
MAX_LABEL, MIN_CELL, MAX_CELL = 16, 2, 10  # columns
TIME_BINS = 60  # columns of a time axis
GAP = 2  # columns between the maps of a picture


def legend(relative: bool) -> str:
    """Return what the shades mean; ``relative``: to the strongest weight of a map."""
    limits = "  ".join(f"{shade} {limit:g}" for shade, limit in zip(SHADES[1:], LIMITS, strict=True))
    return f"rows: output tokens; from {limits} of " + ("the strongest weight" if relative else "its attention")


def heat_map(item: Attention) -> Iterator[str]:
    """Yield the lines of a map of at most 80 columns."""
    kinds = {"text": _matrix, "image": _pictures}
    return kinds.get(item.modality, _timeline)(item)


def _matrix(item: Attention) -> Iterator[str]:
    """Draw a column for each source token, as wide as it; those that do not fit follow in another block."""
    label = _label_width(item.target_tokens)
    tokens = [visible(token) for token in item.source_tokens]
    widths = [min(max(width(token), MIN_CELL), MAX_CELL) for token in tokens]
    strongest = item.attention.argmax(axis=1)
    for number, block in enumerate(_blocks(widths, WIDTH - label)):
        if number:
            yield ""
        yield (" " * label + "".join(f" {pad(tokens[column], widths[column])}" for column in block)).rstrip()
        for row, token in enumerate(item.target_tokens):
            cells = "".join(
                " " + _cells(item.attention[row, column], widths[column], column == strongest[row]) for column in block
            )
            yield (pad(visible(token), label) + cells).rstrip()


def _timeline(item: Attention) -> Iterator[str]:
    """Draw the memory steps on an axis of seconds, relative to the strongest cell."""
    label, bins = _label_width(item.target_tokens), min(TIME_BINS, item.attention.shape[1])
    weights = np.stack([part.sum(axis=1) for part in np.array_split(item.attention, bins, axis=1)], axis=1)
    end = f"{item.seconds:.1f} s"
    yield f"{' ' * label} 0{end.rjust(bins - 1)}"
    for token, row in zip(item.target_tokens, weights / max(weights.max(), 1e-9), strict=True):
        strongest = row.argmax()
        cells = "".join(_cells(weight, 1, column == strongest) for column, weight in enumerate(row))
        yield f"{pad(visible(token), label)} {cells}".rstrip()


def _pictures(item: Attention) -> Iterator[str]:
    """Draw the picture's grid for each token, side by side, relative to the strongest cell."""
    rows, columns = item.grid
    cell = MIN_CELL if columns * MIN_CELL <= WIDTH else 1
    size, top = columns * cell, max(item.attention.max(), 1e-9)
    tile = max(size, MAX_CELL) + GAP
    per_row = max(1, (WIDTH + GAP) // tile)
    for start in range(0, len(item.target_tokens), per_row):
        chosen = range(start, min(start + per_row, len(item.target_tokens)))
        if start:
            yield ""
        yield "".join(pad(visible(item.target_tokens[place]), tile - GAP) + " " * GAP for place in chosen).rstrip()
        grids = [(item.attention[place] / top).reshape(rows, columns) for place in chosen]
        for row in range(rows):
            lines = ["".join(_cells(weight, cell, weight == grid.max()) for weight in grid[row]) for grid in grids]
            yield (" " * (tile - size)).join(lines).rstrip()


def _label_width(tokens: Sequence[str]) -> int:
    return min(MAX_LABEL, max(width(visible(token)) for token in tokens))


def _blocks(widths: Sequence[int], room: int) -> Iterator[list[int]]:
    """Yield the numbers of the columns, each with a space before it, that fit next to each other."""
    block: list[int] = []
    used = 0
    for number, each in enumerate(widths):
        if block and used + 1 + each > room:
            yield block
            block, used = [], 0
        block.append(number)
        used += 1 + each
    yield block


def _cells(weight: float, columns: int, strongest: bool) -> str:
    """Shade a cell; that of the strongest weight of a token has another color."""
    shade = SHADES[int(np.searchsorted(LIMITS, weight, side="right"))]
    return shaded(shade * columns, strongest) if shade != " " else shade * columns
