"""The heatmap of attention from text to text, as a figure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from s2s_plugin.report.drawing.fonts import drawable, fit_font
from s2s_plugin.report.drawing.style import ACCENT, INK, RULE, WHITE, new_figure
from s2s_plugin.report.run import Attention

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

CELL = 0.24  # inches
MAX_SIDE = 16.0  # inches; on longer axes only some tokens are labeled


def draw_heatmap(item: Attention) -> tuple[Figure, set[str]]:
    """Return the figure, and the characters of its labels that no font on this machine has."""
    rows, columns = max(1, len(item.target)), max(1, len(item.source))
    figure = new_figure(min(MAX_SIDE, columns * CELL) + 1.6, min(MAX_SIDE, rows * CELL) + 1.6)
    axes = figure.add_subplot()
    aspect: Literal["equal", "auto"] = "equal" if max(rows, columns) * CELL <= MAX_SIDE else "auto"
    if item.weights and item.source:
        axes.imshow(item.weights, cmap=attention_colors(), vmin=0, vmax=1, aspect=aspect, interpolation="nearest")
    axes.xaxis.tick_top()  # before the labels: those at the top are other objects than those below
    axes.tick_params(length=0)
    axes.tick_params(axis="x", labelrotation=90)
    axes.spines[:].set_color(RULE)
    missing_glyphs = label_axis(axes.set_xticks, axes.get_xticklabels, item.source, label_step(columns))
    missing_glyphs |= label_axis(axes.set_yticks, axes.get_yticklabels, item.target, label_step(rows))
    return figure, missing_glyphs


def attention_colors() -> Colormap:
    """Return the colors from no attention, white, to the accent color."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("attention", [WHITE, ACCENT])


def label_axis(set_ticks: Callable, get_labels: Callable, tokens: tuple[str, ...], step: int) -> set[str]:
    """Label an axis with every ``step``-th token, each in a font that has its glyphs; return the missing ones."""
    places = range(0, len(tokens), step)
    set_ticks(places, [drawable(tokens[place]) for place in places], parse_math=False, fontsize=9, color=INK)
    return set().union(*(fit_font(label) for label in get_labels()))


def label_step(tokens: int) -> int:
    """Return every how many tokens there is room for a label."""
    return max(1, round(tokens * CELL / MAX_SIDE + 0.49))
