"""Attention from text to text: as a table in the page, where the browser's fonts draw any script, and as a figure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from s2s_plugin.report.fonts import drawable, fit_font
from s2s_plugin.report.markup import esc
from s2s_plugin.report.plot import ACCENT, INK, RULE, new_figure
from s2s_plugin.report.run import Attention

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

MAX_CELLS = 6000  # a larger table makes the page slow: the picture stands in for it
CELL = 0.24  # inches in the picture
LONGEST = 16.0  # inches: the labels of longer axes are thinned out


def draw(item: Attention) -> tuple[Figure, set[str]]:
    """The heatmap as a figure, and the characters of its labels that no font on this machine has."""
    rows, columns = max(1, len(item.target)), max(1, len(item.source))
    width, height = min(LONGEST, columns * CELL), min(LONGEST, rows * CELL)
    figure = new_figure(width + 1.6, height + 1.6)
    axes = figure.add_subplot()
    aspect: Literal["equal", "auto"] = "equal" if max(rows, columns) * CELL <= LONGEST else "auto"
    if item.weights and item.source:
        axes.imshow(item.weights, cmap=attention_colours(), vmin=0, vmax=1, aspect=aspect, interpolation="nearest")
    _dress(axes)  # before the labels: those at the top are other objects than those below
    lacking = label_axis(axes.set_xticks, axes.get_xticklabels, item.source, label_step(columns))
    lacking |= label_axis(axes.set_yticks, axes.get_yticklabels, item.target, label_step(rows))
    return figure, lacking


def attention_colours() -> Colormap:
    """From white, no attention, to the accent colour."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("attention", ["#ffffff", ACCENT])


def label_axis(put: Callable, get: Callable, tokens: tuple[str, ...], step: int) -> set[str]:
    """Put every ``step``-th token on an axis, each in a font that has its characters; return what lacks."""
    places = range(0, len(tokens), step)
    put(places, [drawable(tokens[place]) for place in places], parse_math=False, fontsize=9, color=INK)
    return set().union(*(fit_font(label) for label in get()))


def label_step(tokens: int) -> int:
    """Label every how many tokens, so that labels do not run into each other."""
    return max(1, round(tokens * CELL / LONGEST + 0.49))


def table(item: Attention) -> str:
    """The weights as cells, the stronger the more colour."""
    head = "".join(f'<th scope="col"><span dir="auto">{esc(token)}</span></th>' for token in item.source)
    rows = "\n".join(
        f'<tr><th scope="row"><bdi>{esc(token)}</bdi></th>{_cells(token, item.source, weights)}</tr>'
        for token, weights in zip(item.target, item.weights, strict=True)
    )
    return f'<table class="heat"><thead><tr><td></td>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table>'


def _dress(axes: Axes) -> None:
    """Source tokens on top, reading upwards; no box, no ticks."""
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.tick_params(axis="x", labelrotation=90)
    for spine in axes.spines.values():
        spine.set_color(RULE)


def _cells(target: str, source: tuple[str, ...], weights: tuple[float, ...]) -> str:
    return "".join(
        f'<td style="--a:{weight:.3f}" title="{esc(target)} ← {esc(token)}: {weight:.3f}"></td>'
        for token, weight in zip(source, weights, strict=True)
    )
