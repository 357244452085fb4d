"""Learning curves: training and validation loss, and every validation metric, over the updates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from s2s_plugin.report.drawing import style
from s2s_plugin.report.drawing.style import INK, QUIET, SERIES_COLORS, draw_circle, new_figure
from s2s_plugin.report.log import Curve, Curves
from s2s_plugin.report.measures import DESCRIPTIONS, TITLES, describe_loss
from s2s_plugin.report.run import RunData
from s2s_plugin.scoring.validation import HIGHER_IS_BETTER, METRICS

HIGHER = {name: name in HIGHER_IS_BETTER for name in METRICS} | {"accuracy": True, "loss": False, "ppl": False}
MAX_POINTS = 300  # averaged beyond: a line has no use for more than one point a pixel
MAX_DOTS = 60
WIDTH, HEIGHT = 400 / 72, 230 / 72  # inches of a panel: 400 x 230 points, the units of an SVG figure
TEXT_SIZE = 11  # points
ROUND = (1, 2, 2.5, 5, 10)  # steps between ticks

Point = tuple[float, float]  # updates, value


@dataclass(frozen=True)
class Panel:
    """A small chart."""

    title: str
    series: dict[str, list[Point]]  # by name; "train" has the first color, no dots
    best: Point | None  # of the only validation set; None if several compete or no direction is known
    log_scale: bool = False  # of the values

    @property
    def colors(self) -> dict[str, int]:
        """Return the index into :data:`SERIES_COLORS` of each series."""
        first = 0 if "train" in self.series else 1
        return {name: number % len(SERIES_COLORS) for number, name in enumerate(self.series, start=first)}

    @property
    def best_text(self) -> str:
        """Return the value and place of the best point, which has a circle."""
        return f"○ best validation: {self.best[1]:,.2f} at update {self.best[0]:,.0f}" if self.best else ""

    def svg(self) -> Markup:
        """Draw the panel for the page, whose caption holds title and legend."""
        figure = new_figure(WIDTH, HEIGHT)
        draw_panel(figure.add_subplot(), self)
        return style.to_svg(figure, f"{self.title} over updates")


def curves_section(run: RunData) -> dict[str, Any] | None:
    """Show the learning curves as small charts side by side."""
    panels = make_panels(run.curves)
    if not panels:
        return None
    measures = describe_panels(panels, run.options)
    return {"panels": panels, "measures": measures, "pictures": {"curves.png": draw_png(panels)}}


def describe_panels(panels: Sequence[Panel], options: Mapping[str, Any]) -> dict[str, str]:
    """Return what the losses in some panels are, by title; ``options``: the config of the run."""
    titles = {panel.title for panel in panels}
    named = {TITLES.get(name, name): text for name, text in DESCRIPTIONS.items() if TITLES.get(name, name) in titles}
    if criterion := options.get("criterion"):
        named[TITLES["loss"]] = describe_loss(criterion)
    return named


def make_panels(curves: Curves) -> list[Panel]:
    """Return the panels in reading order: loss, the metrics of the task, perplexity."""
    panels = []
    for name in sorted({"loss": {}} | curves.valid, key=lambda name: (name != "loss", name == "ppl")):
        valid = {subset: _points(curve) for subset, curve in curves.valid.get(name, {}).items() if curve}
        train = {"train": _points(curves.train)} if name == "loss" and curves.train else {}
        if name == "nll_loss" or not (train or valid):
            continue
        best, values = None, [value for points in valid.values() for _, value in points]
        if len(valid) == 1 and (up := HIGHER.get(name)) is not None:
            best = (max if up else min)(next(iter(valid.values())), key=lambda point: point[1])
        # a linear scale would hide the end of the curve
        log_scale = name == "ppl" and min(values) > 0 and max(values) / min(values) > 10
        panels.append(Panel(TITLES.get(name, name), train | valid, best, log_scale))
    return panels


def draw_png(panels: list[Panel]) -> bytes:
    """Draw all panels in one picture, at most three a row."""
    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(WIDTH * columns, HEIGHT * rows)
    for index, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, columns, index)
        draw_panel(axes, panel)
        axes.set_title(panel.title, loc="left", fontsize=13, fontweight="bold", color=INK, parse_math=False)
        axes.set_title(panel.best_text, loc="right", fontsize=TEXT_SIZE, color=QUIET)
        if len(panel.series) > 1:
            axes.legend(frameon=False, fontsize=TEXT_SIZE, labelcolor="linecolor")
    return style.to_png(figure)


def draw_panel(axes: Axes, panel: Panel) -> None:
    """Draw the lines and axes of a panel; few points that were measured get dots."""
    style.style_axes(axes, "updates", TEXT_SIZE)
    for name, points in panel.series.items():
        color = SERIES_COLORS[panel.colors[name]]
        axes.plot(*zip(*downsample(points), strict=True), color=color, linewidth=2, label=name, clip_on=False)
        for x, y in points if len(points) <= (1 if name == "train" else MAX_DOTS) else ():
            draw_circle(axes, (x, y), 2.4, color=color, linewidth=0, zorder=3, gid=f"{y:,.4g} at update {x:,.0f}")
    if panel.best:
        draw_circle(axes, panel.best, 5.5, facecolor="none", edgecolor=INK, linewidth=1.5, zorder=4)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=ROUND))
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=ROUND))
    if panel.log_scale:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: short(value))


def short(value: float) -> str:
    """Format the value of a tick: 12500 becomes 12.5k."""
    thousands = next((power for power in (3, 2, 1) if abs(value) >= 1000**power), 0)
    return f"{value / 1000**thousands:g}{['', 'k', 'M', 'G'][thousands]}".replace("-", "−")


def downsample(points: list[Point], limit: int = MAX_POINTS) -> list[Point]:
    """Return at most ``limit`` points, each the mean of its neighbors."""
    if len(points) <= limit:
        return points
    return [tuple(group.mean(axis=0)) for group in np.array_split(np.array(points), limit)]


def _points(curve: Curve) -> list[Point]:
    return [(float(updates), value) for updates, value in sorted(curve.items())]
