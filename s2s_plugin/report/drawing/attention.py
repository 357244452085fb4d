"""Attention as a heatmap over source tokens, below a spectrogram or video frames, or over a picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.transforms import Transform

from s2s_plugin.report.drawing.style import ACCENT, INK, QUIET, RULE, fonts_for, new_figure
from s2s_plugin.report.run import Attention
from s2s_plugin.utils.columns import wrap

CELL = 0.24  # inches
MAX_SIDE = 16.0  # inches; on longer axes only some tokens are labeled
WIDTH = 9.0  # inches of the time axis
GAP = 0.24  # inches between the signal and its attention
SPECTROGRAM_HEIGHT = 1.7  # inches
FRAME_HEIGHT = 0.55  # inches at most, about
MAX_FRAMES = 16
MAX_TOKENS = 23  # with the picture itself they fill four rows
COLUMNS = 6  # pictures a row
THUMBNAIL = 1.5  # inches wide
BORDER = 0.045  # inches around a frame
WEIGHTS = LinearSegmentedColormap.from_list("weights", ["white", ACCENT])
GLOW = LinearSegmentedColormap.from_list("glow", ["#ff7a1400", "#ff7a14d9"])  # from transparent to orange
CAPTION_COLUMNS, MIN_CAPTION = 14, 40  # of an inch; of a line at least
STRONGEST = "strongest: {:.2f}"
LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601


def draw_heatmap(item: Attention) -> Figure:
    """Draw the attention to the tokens of a text, a row for each target token."""
    rows, columns = item.attention.shape
    size = min(MAX_SIDE, columns * CELL), min(MAX_SIDE, rows * CELL)
    figure = new_figure(*size, layout=None)  # exact sizes; the file is cropped to the drawing
    axes = figure.add_axes((0, 0, 1, 1), xticks=[], yticks=[])
    axes.imshow(item.attention, cmap=WEIGHTS, vmin=0, vmax=1, interpolation="nearest", aspect="auto")
    axes.spines[:].set_color(RULE)
    _label_rows(axes, item.target_tokens)
    _label_columns(axes, item.source_tokens)
    return figure


def draw_spectrogram(item: Attention) -> Figure:
    """Draw the spectrogram above the attention."""
    figure, above = _timeline(item, SPECTROGRAM_HEIGHT)
    above.imshow(
        item.signal.T.astype(np.float32),
        extent=(0, item.seconds, 0, item.signal.shape[1]),
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=-2,
        vmax=3,
    )
    above.set_ylabel("mel channel", fontsize=9, color=QUIET)
    return figure


def draw_video(item: Attention) -> Figure:
    """Draw frames above the attention; the stronger a frame's border, the more attention it gets in total."""
    count, height, width = item.signal.shape
    shown = min(MAX_FRAMES, count, max(4, round(WIDTH / FRAME_HEIGHT * height / width)))
    inches = WIDTH / shown * height / width
    figure, above = _timeline(item, inches)
    across, up = BORDER * item.seconds / WIDTH, BORDER / inches  # the border in the units of the axes
    shares, edges = attention_shares(item, shown)
    for place, share in enumerate(shares / max(shares.max(), 1e-9)):
        start, end = edges[place : place + 2]
        above.axvspan(start, end, facecolor=ACCENT, alpha=share, linewidth=0, zorder=-1)
        above.imshow(
            item.signal[int((place + 0.5) * count / shown)],
            extent=(start + across, end - across, up, 1 - up),
            aspect="auto",
            cmap="gray",
            vmin=0,
            vmax=255,
            interpolation="bilinear",
        )
    above.set(ylim=(0, 1), yticks=[], frame_on=False)
    return figure


def attention_shares(item: Attention, shown: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the attention of all tokens together to each of ``shown`` equal parts of a video, and their limits."""
    weights = item.attention.sum(axis=0)
    middles = np.minimum((np.arange(len(weights)) + 0.5) * item.step_seconds, item.seconds)  # the last may end later
    return np.histogram(middles, bins=shown, range=(0, item.seconds), weights=weights)


def draw_picture(item: Attention) -> Figure:
    """Draw the picture, then a gray copy for each token, colored where the token attends."""
    height, width, _ = item.signal.shape
    extent = (0, width, height, 0)
    gray = item.signal @ LUMINANCE
    tokens = item.target_tokens[:MAX_TOKENS]
    rows = math.ceil((len(tokens) + 1) / COLUMNS)
    figure = new_figure(COLUMNS * THUMBNAIL, rows * (THUMBNAIL * height / width + 0.25))
    first, *others = figure.subplots(
        rows, COLUMNS, squeeze=False, subplot_kw={"xticks": [], "yticks": [], "frame_on": False}
    ).flat
    first.imshow(item.signal, extent=extent, interpolation="bilinear")
    strongest = item.attention.max()
    first.set_xlabel(STRONGEST.format(strongest), fontsize=8, color=QUIET)
    fonts, _ = fonts_for("".join(tokens))
    for axes, token, row in zip(others, tokens, item.attention, strict=False):
        axes.imshow(gray, extent=extent, cmap="gray", vmin=-110, vmax=255, interpolation="bilinear")
        weights = row.reshape(item.grid)
        axes.imshow(weights, extent=extent, cmap=GLOW, vmin=0, vmax=strongest or 1, interpolation="bicubic")
        axes.set_xlabel(token, fontsize=10, color=INK, parse_math=False, fontfamily=fonts)
    return figure


def _timeline(item: Attention, height: float) -> tuple[Figure, Axes]:
    """Draw the attention over time, a row for each token; return also axes above it, ``height`` inches high."""
    tokens = len(item.target_tokens)
    rows = min(MAX_SIDE, tokens * CELL)
    figure = new_figure(WIDTH, height + GAP + rows, layout=None)  # exact sizes; the file is cropped to the drawing
    spacing = {"left": 0, "right": 1, "bottom": 0, "top": 1, "hspace": 2 * GAP / (height + rows)}
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(height, rows), gridspec_kw=spacing)
    for axes in (above, below):
        axes.tick_params(labelsize=9, colors=QUIET, length=0)
        axes.spines[:].set_color(RULE)
    strongest = item.attention.max()
    extent = (0, item.attention.shape[1] * item.step_seconds, tokens - 0.5, -0.5)
    below.imshow(item.attention, extent=extent, aspect="auto", cmap=WEIGHTS, vmin=0, vmax=strongest or 1)
    below.set_title(STRONGEST.format(strongest), loc="right", fontsize=8, color=QUIET, pad=3)
    below.set_xlim(0, item.seconds)
    below.set_xlabel("seconds", fontsize=9, color=QUIET)
    below.set_yticks(np.arange(tokens - 1) + 0.5, minor=True)
    below.tick_params(which="minor", length=0)
    below.grid(axis="y", which="minor", color=RULE, linewidth=0.6)
    below.set_yticks([])
    _label_rows(below, item.target_tokens)
    return figure, above


def _label_rows(axes: Axes, tokens: Sequence[str]) -> None:
    _label(axes, tokens, lambda place: (0, place), axes.get_yaxis_transform(), xytext=(-4, 0), ha="right", va="center")


def _label_columns(axes: Axes, tokens: Sequence[str]) -> None:
    style = {"xytext": (0, 4), "ha": "center", "va": "bottom", "rotation": 90}
    _label(axes, tokens, lambda place: (place, 1), axes.get_xaxis_transform(), **style)


def _label(
    axes: Axes, tokens: Sequence[str], point: Callable[[int], tuple[int, int]], transform: Transform, **style: Any
) -> None:
    """Write the tokens at their points, or every n-th if there is no room for all; ticks take twice as long."""
    fonts, _ = fonts_for("".join(tokens))
    style |= {"textcoords": "offset points", "parse_math": False, "fontsize": 9, "color": INK, "fontfamily": fonts}
    for place in range(0, len(tokens), max(1, math.ceil(len(tokens) * CELL / MAX_SIDE))):
        axes.annotate(tokens[place], point(place), xycoords=transform, **style)


def draw(item: Attention) -> Figure:
    """Draw the attention of an item."""
    by_modality = {"text": draw_heatmap, "audio": draw_spectrogram, "video": draw_video, "image": draw_picture}
    figure = by_modality[item.modality](item)
    _caption(figure, item.caption, 0.5 if item.modality in ("audio", "video") else 0.1)
    return figure


def _caption(figure: Figure, text: str, gap: float) -> None:
    """Write below everything, so many inches from the axes, which sentence or file is drawn."""
    if not text:
        return
    across, height = figure.get_size_inches()
    lines = wrap(text, max(MIN_CAPTION, round(across * CAPTION_COLUMNS)))
    fonts, _ = fonts_for(text)
    style = {"va": "top", "fontsize": 8, "color": QUIET, "parse_math": False, "fontfamily": fonts}
    figure.text(0, -gap / height, "\n".join(lines), **style)
