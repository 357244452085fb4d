"""Attention drawn on a signal: below a spectrogram or video frames, or over a picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from s2s_plugin.report.drawing.fonts import drawable, fit_font
from s2s_plugin.report.drawing.heatmap import CELL, MAX_SIDE, attention_colors, label_axis, label_step
from s2s_plugin.report.drawing.signals import Picture, Spectrogram, Timed, VideoFrames
from s2s_plugin.report.drawing.style import ACCENT, INK, QUIET, RULE, new_figure
from s2s_plugin.report.run import Attention

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 9.0  # inches of the time axis
GAP = 0.24  # inches between the signal and its attention
SPECTROGRAM_HEIGHT = 1.7  # inches
FRAME_HEIGHT = 0.55  # inches at most, about
MAX_FRAMES = 16
MAX_TOKENS = 23  # with the picture itself they fill four rows
COLUMNS = 6  # pictures a row
THUMBNAIL = 1.5  # inches wide
BORDER = 0.045  # inches around a frame
GLOW = "#ff7a14"
STRONGEST = "strongest: {:.2f}"
LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601


def draw_spectrogram(item: Attention, sound: Spectrogram) -> tuple[Figure, set[str]]:
    """Draw the spectrogram above the attention; return also the missing glyphs of the labels."""
    figure, above, below = _stack(SPECTROGRAM_HEIGHT, item)
    channels = sound.frames.shape[1]
    above.imshow(
        sound.frames.T.astype(np.float32),
        extent=(0, sound.seconds, 0, channels),
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=-2,
        vmax=3,
    )
    above.set_ylabel("mel channel", fontsize=9, color=QUIET)
    return figure, _draw_timeline(below, item, sound)


def draw_video(item: Attention, video: VideoFrames) -> tuple[Figure, set[str]]:
    """Draw frames above the attention; the stronger a frame's border, the more attention it gets in total."""
    from matplotlib.patches import Rectangle

    count, height, width = video.frames.shape
    shown = min(MAX_FRAMES, count, max(4, round(WIDTH / FRAME_HEIGHT * height / width)))
    inches = WIDTH / shown * height / width
    figure, above, below = _stack(inches, item)
    duration = video.seconds / shown
    across, up = BORDER * video.seconds / WIDTH, BORDER / inches  # the border in the units of the axes
    shares = attention_shares(item, video, shown)
    for place, share in enumerate(shares / max(shares.max(), 1e-9)):
        start, end = place * duration, (place + 1) * duration
        above.add_patch(Rectangle((start, 0), duration, 1, facecolor=ACCENT, alpha=share, linewidth=0, zorder=-1))
        above.imshow(
            video.frames[int((place + 0.5) * count / shown)],
            extent=(start + across, end - across, up, 1 - up),
            aspect="auto",
            cmap="gray",
            vmin=0,
            vmax=255,
            interpolation="bilinear",
        )
    above.set_ylim(0, 1)
    above.set_yticks([])
    above.spines[:].set_visible(False)
    return figure, _draw_timeline(below, item, video)


def attention_shares(item: Attention, video: VideoFrames, shown: int) -> np.ndarray:
    """Return the attention of all tokens together to each of ``shown`` equal parts of the video."""
    weights = np.sum(item.weights, axis=0)
    middles = np.minimum((np.arange(len(weights)) + 0.5) * video.step_seconds, video.seconds)  # the last may end later
    return np.histogram(middles, bins=shown, range=(0, video.seconds), weights=weights)[0]


def draw_picture(item: Attention, picture: Picture) -> tuple[Figure, set[str]]:
    """Draw the picture, then a gray copy for each token, colored where the token attends."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgba

    glow = LinearSegmentedColormap.from_list("glow", [to_rgba(GLOW, 0.0), to_rgba(GLOW, 0.85)])
    height, width, _ = picture.pixels.shape
    extent = (0, width, height, 0)
    gray = picture.pixels @ LUMINANCE
    tokens = item.target[:MAX_TOKENS]
    rows = math.ceil((len(tokens) + 1) / COLUMNS)
    figure = new_figure(COLUMNS * THUMBNAIL, rows * (THUMBNAIL * height / width + 0.25))
    grid = figure.subplots(rows, COLUMNS, squeeze=False).flat
    for axes in grid:
        axes.set(xticks=[], yticks=[], frame_on=False)
    grid[0].imshow(picture.pixels, extent=extent, interpolation="bilinear")
    strongest = max(map(max, item.weights))
    grid[0].set_xlabel(STRONGEST.format(strongest), fontsize=8, color=QUIET)
    missing_glyphs: set[str] = set()
    for axes, token, row in zip(grid[1:], tokens, item.weights, strict=False):
        axes.imshow(gray, extent=extent, cmap="gray", vmin=-110, vmax=255, interpolation="bilinear")
        weights = np.reshape(row, picture.grid)
        axes.imshow(weights, extent=extent, cmap=glow, vmin=0, vmax=strongest or 1, interpolation="bicubic")
        missing_glyphs |= fit_font(axes.set_xlabel(drawable(token), fontsize=10, color=INK, parse_math=False))
    return figure, missing_glyphs


def _stack(height: float, item: Attention) -> tuple[Figure, Axes, Axes]:
    """Return a figure, axes for a signal, ``height`` inches high, and below them axes for its attention."""
    rows = min(MAX_SIDE, len(item.target) * CELL)
    total = height + GAP + rows
    figure = new_figure(WIDTH, total)
    figure.set_layout_engine("none")  # exact sizes; the file is cropped to the drawing
    below = figure.add_axes((0, 0, 1, rows / total))
    above = figure.add_axes((0, 1 - height / total, 1, height / total), sharex=below)
    for axes in (above, below):
        axes.tick_params(labelsize=9, colors=QUIET, length=0)
        axes.spines[:].set_color(RULE)
    above.tick_params(labelbottom=False)
    return figure, above, below


def _draw_timeline(axes: Axes, item: Attention, signal: Timed) -> set[str]:
    """Draw the attention over time, a row for each token; return the missing glyphs of the labels."""
    rows = len(item.target)
    strongest = max(map(max, item.weights))
    extent = (0, len(item.source) * signal.step_seconds, rows - 0.5, -0.5)
    axes.imshow(item.weights, extent=extent, aspect="auto", cmap=attention_colors(), vmin=0, vmax=strongest or 1)
    axes.set_title(STRONGEST.format(strongest), loc="right", fontsize=8, color=QUIET, pad=3)
    axes.set_xlim(0, signal.seconds)
    axes.set_xlabel("seconds", fontsize=9, color=QUIET)
    axes.set_yticks([row + 0.5 for row in range(rows - 1)], minor=True)
    axes.tick_params(which="minor", length=0)
    axes.grid(axis="y", which="minor", color=RULE, linewidth=0.6)
    return label_axis(axes.set_yticks, axes.get_yticklabels, item.target, label_step(rows))
