"""Learning curves: training and validation loss, and every validation metric, over the updates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from s2s_plugin.report.drawing.style import (
    INK,
    QUIET,
    SERIES_COLORS,
    draw_circle,
    new_figure,
    style_axes,
    to_png,
    to_svg,
)
from s2s_plugin.report.log import Curve, Curves, read_curves
from s2s_plugin.report.markup import Section, missing, render
from s2s_plugin.report.run import RunData
from s2s_plugin.scoring.validation import HIGHER_IS_BETTER, METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLES = {"bleu": "BLEU", "chrf": "chrF", "ppl": "Perplexity", "accuracy": "Accuracy", "loss": "Loss"}
TITLES |= {name: name.upper() for name in ("wer", "cer", "per", "ter", "uer")} | {"g2p_wer": "WER"}
TITLES |= {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougel": "ROUGE-L"}
HIGHER = {name: name in HIGHER_IS_BETTER for name in METRICS}
HIGHER |= dict.fromkeys(("acc", "accuracy", "chrf", "chrf2", "f1"), True)
HIGHER |= dict.fromkeys(("loss", "nll_loss", "ppl", "ter", "uer"), False)
MAX_POINTS = 300  # averaged beyond: a line has no use for more than one point a pixel
MAX_DOTS = 60
WIDTH, HEIGHT = 400 / 72, 230 / 72  # inches of a panel: 400 x 230 points, the units of an SVG figure
TEXT_SIZE = 11  # points
ROUND = (1, 2, 2.5, 5, 10)  # steps between ticks


@dataclass(frozen=True)
class Series:
    """A line of a panel."""

    name: str
    points: list[tuple[float, float]]  # (updates, value), by updates
    color: int  # index into SERIES_COLORS
    dots: bool  # mark the points, which are few and each measured

    @property
    def drawn(self) -> list[tuple[float, float]]:
        """Return the points to draw."""
        return downsample(self.points)


@dataclass(frozen=True)
class Panel:
    """A small chart; ``best`` is a point of the last series, if it is known which direction is better."""

    title: str
    series: list[Series]
    best: tuple[float, float] | None
    log_scale: bool = False

    @property
    def best_text(self) -> str:
        """Return the value and place of the best point."""
        updates, value = self.best or (math.nan, math.nan)
        return f"best {value:,.2f} at {updates:,.0f}"

    def svg(self) -> Markup:
        """Draw the panel for the page, whose caption holds title and legend."""
        figure = new_figure(WIDTH, HEIGHT)
        draw_panel(figure.add_subplot(), self)
        return to_svg(figure, f"{self.title} over updates")


def curves_section(run: RunData) -> Section:
    """Show the learning curves as small charts side by side."""
    title, panels = "Learning curves", make_panels(read_curves(run.dir.log), run.scores)
    if not panels:
        return Section("curves", title, missing("log.txt", "train", "the learning curves"))
    png = draw_png(panels)
    return Section("curves", title, render("sections/curves.html.j2", panels=panels, png=png), {"curves.png": png})


def make_panels(curves: Curves, scores: dict[str, Any]) -> list[Panel]:
    """Return the panels in reading order: loss, the metrics of the task, perplexity."""
    higher = {
        name.lower(): metric["higher_is_better"]
        for name, metric in (scores.get("metrics") or {}).items()
        if "higher_is_better" in metric
    } | HIGHER
    panels = []
    if curves.train or curves.valid.get("loss"):
        train = [_series("train", curves.train, 0, dots=False)] if curves.train else []
        valid = _valid_series(curves.valid.get("loss", {}))
        panels.append(Panel("Loss", train + valid, _best(valid, higher=False)))
    metrics = sorted(curves.valid, key=lambda name: name == "ppl")
    for name in (metric for metric in metrics if metric not in ("loss", "nll_loss")):
        if series := _valid_series(curves.valid[name]):
            log_scale = name == "ppl" and _spans_decades(series)
            panels.append(Panel(TITLES.get(name, name), series, _best(series, higher.get(name)), log_scale))
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
        if panel.best:
            axes.set_title(panel.best_text, loc="right", fontsize=TEXT_SIZE, color=QUIET)
        if len(panel.series) > 1:
            axes.legend(frameon=False, fontsize=TEXT_SIZE, labelcolor="linecolor")
    return to_png(figure)


def draw_panel(axes: Axes, panel: Panel) -> None:
    """Draw the lines and axes of a panel."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    style_axes(axes, "updates", TEXT_SIZE)
    for series in panel.series:
        color = SERIES_COLORS[series.color]
        axes.plot(*zip(*series.drawn, strict=True), color=color, linewidth=2, label=series.name, clip_on=False)
        for x, y in series.drawn if series.dots or len(series.points) == 1 else ():
            tooltip = f"{y:,.4g} at update {x:,.0f}"
            draw_circle(axes, (x, y), 2.4, facecolor=color, zorder=3, gid=tooltip)
    if panel.best:
        draw_circle(axes, panel.best, 5.5, facecolor="none", edgecolor=INK, linewidth=1.5, zorder=4)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=ROUND))
    if panel.log_scale:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=ROUND))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: short(value))


def short(value: float) -> str:
    """Format the value of a tick: 12500 becomes 12.5k."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}".replace("-", "−")
    return f"{value:g}".replace("-", "−")


def downsample(points: list[tuple[float, float]], limit: int = MAX_POINTS) -> list[tuple[float, float]]:
    """Return at most ``limit`` points, each the mean of its neighbors."""
    if len(points) <= limit:
        return points
    size = math.ceil(len(points) / limit)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]


def _series(name: str, curve: Curve, color: int, dots: bool = True) -> Series:
    points = [(float(updates), value) for updates, value in sorted(curve.items())]
    return Series(name, points, color % len(SERIES_COLORS), dots=dots and len(points) <= MAX_DOTS)


def _valid_series(curves: dict[str, Curve]) -> list[Series]:
    """Return a series for each validation set; color 0 is for training."""
    nonempty = ((subset, curve) for subset, curve in curves.items() if curve)
    return [_series(subset, curve, color) for color, (subset, curve) in enumerate(nonempty, start=1)]


def _best(series: list[Series], higher: bool | None) -> tuple[float, float] | None:
    """Return the best point of the only series; None if several compete or the direction is unknown."""
    if higher is None or len(series) != 1:
        return None
    sign = 1 if higher else -1
    return max(series[0].points, key=lambda point: sign * point[1])


def _spans_decades(series: list[Series]) -> bool:
    """Return whether the values span so much that a linear scale would hide the end of the curve."""
    values = [value for line in series for _, value in line.points]
    return min(values) > 0 and max(values) / min(values) > 10
