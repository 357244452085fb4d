"""Learning curves: train and validation loss, and every validation metric, over the updates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from s2s_plugin.report.log import Curve, Curves, read_curves
from s2s_plugin.report.markup import Section, esc, missing, picture_link
from s2s_plugin.report.plot import QUIET, SERIES_COLOURS, new_figure, tidy, to_png
from s2s_plugin.report.run import Run
from s2s_plugin.report.svg import line_chart, short

NAMES = {"bleu": "BLEU", "chrf": "chrF", "ppl": "Perplexity", "accuracy": "Accuracy", "loss": "Loss"}
NAMES |= {name: name.upper() for name in ("wer", "cer", "per", "ter", "uer")} | {"g2p_wer": "WER"}
NAMES |= {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougel": "ROUGE-L"}
HIGHER = {"bleu": True, "chrf": True, "chrf2": True, "accuracy": True, "acc": True, "f1": True, "exact": True}
HIGHER |= dict.fromkeys(("rouge1", "rouge2", "rougel"), True)
HIGHER |= dict.fromkeys(("loss", "nll_loss", "ppl", "wer", "g2p_wer", "cer", "per", "ter", "uer"), False)
MAX_POINTS = 300  # more are averaged: a line has no use for more than one point a pixel


@dataclass(frozen=True)
class Series:
    """One line of a panel."""

    name: str
    points: list[tuple[float, float]]  # (updates, value), by updates
    dots: bool  # few points, each of them measured: show them

    @property
    def drawn(self) -> list[tuple[float, float]]:
        """What is drawn of them."""
        return thin(self.points)


@dataclass(frozen=True)
class Panel:
    """One small chart. ``best`` is a point of the last series, where it is known which way is better."""

    title: str
    series: list[Series]
    best: tuple[float, float] | None
    log_scale: bool = False


def curves_section(run: Run) -> Section:
    """The learning curves, as small charts side by side and as ``curves.png``."""
    title = "Learning curves"
    panels = make_panels(read_curves(run.log), run.scores)
    if not panels:
        return Section("curves", title, missing("log.txt", "train", "the learning curves"))
    png = draw_png(panels)
    figures = "\n".join(_figure(panel, index) for index, panel in enumerate(panels))
    body = f'<div class="charts">\n{figures}\n</div>\n{picture_link("curves.png", png)}'
    return Section("curves", title, body, {"curves.png": png})


def make_panels(curves: Curves, scores: dict[str, Any]) -> list[Panel]:
    """The panels in reading order: loss, the metrics of the task, perplexity."""
    direction = {**_directions(scores), **HIGHER}
    metrics = [name for name in curves.valid if name not in ("loss", "nll_loss", "ppl")]
    metrics += [name for name in ("ppl",) if name in curves.valid]
    panels = []
    loss = [_series(subset, curve) for subset, curve in curves.valid.get("loss", {}).items() if curve]
    if curves.train or loss:
        train = [_series("train", curves.train, dots=False)] if curves.train else []
        panels.append(Panel("Loss", train + loss, _best(loss, higher=False)))
    for name in metrics:
        series = [_series(subset, curve) for subset, curve in curves.valid[name].items() if curve]
        if series:
            best = _best(series, direction.get(name))
            panels.append(Panel(NAMES.get(name, name), series, best, name == "ppl" and _spans_decades(series)))
    return panels


def draw_png(panels: list[Panel]) -> bytes:
    """All panels in one picture, at most three a row."""
    from matplotlib.ticker import MaxNLocator

    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(4.2 * columns, 3.1 * rows)
    for index, panel in enumerate(panels):
        axes = figure.add_subplot(rows, columns, index + 1)
        tidy(axes, panel.title, "updates")
        for series, colour in zip(panel.series, colours(panel), strict=True):
            xs, ys = zip(*series.drawn, strict=True)
            marker = "o" if series.dots or len(xs) == 1 else ""
            axes.plot(xs, ys, color=colour, marker=marker, markersize=3, linewidth=1.6, label=series.name)
        if panel.best:
            axes.set_title(_best_text(panel.best), loc="right", fontsize=8, color=QUIET)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(lambda value, _: short(value))
        if panel.log_scale:
            axes.set_yscale("log")
        if len(panel.series) > 1:
            axes.legend(frameon=False, fontsize=9, labelcolor="linecolor")
    return to_png(figure)


def colours(panel: Panel) -> list[str]:
    """A colour for each series: quiet for the train loss, strong for validation."""
    return [SERIES_COLOURS[index % len(SERIES_COLOURS)] for index in colour_indices(panel)]


def colour_indices(panel: Panel) -> list[int]:
    """The place of each series in the palette, which the page's style sheet repeats."""
    first = 0 if panel.series[0].name == "train" else 1
    return list(range(first, first + len(panel.series)))


def _figure(panel: Panel, index: int) -> str:
    indices = colour_indices(panel)
    legend = "".join(
        f'<li class="series-{place % len(SERIES_COLOURS)}">{esc(series.name)}</li>'
        for place, series in zip(indices, panel.series, strict=True)
    )
    if panel.log_scale:
        legend += '<li class="remark">log scale</li>'
    best = ""
    if panel.best:
        best = f'<span class="best">{_best_text(panel.best)}</span>'
    chart = line_chart(
        [(series.drawn, series.dots) for series in panel.series],
        classes=[f"series-{place % len(SERIES_COLOURS)}" for place in indices],
        best=panel.best,
        log_scale=panel.log_scale,
        label=f"{panel.title} over updates",
    )
    return (
        f'<figure class="chart" id="curve-{index + 1}">\n<figcaption><h3>{esc(panel.title)}</h3>'
        f'<ul class="legend">{legend}</ul>{best}</figcaption>\n{chart}\n</figure>'
    )


def _best_text(point: tuple[float, float]) -> str:
    updates, value = point
    return f"best {value:,.2f} at {updates:,.0f}"


def _series(name: str, curve: Curve, dots: bool = True) -> Series:
    points = [(float(updates), value) for updates, value in sorted(curve.items())]
    return Series(name, points, dots=dots and len(points) <= 60)


def thin(points: list[tuple[float, float]], most: int = MAX_POINTS) -> list[tuple[float, float]]:
    """At most ``most`` points, each the mean of as many neighbours."""
    if len(points) <= most:
        return points
    size = math.ceil(len(points) / most)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]


def _best(series: list[Series], higher: bool | None) -> tuple[float, float] | None:
    """The best point of the only series; none where several compete or the direction is unknown."""
    if higher is None or len(series) != 1:
        return None
    sign = 1 if higher else -1
    return max(series[0].points, key=lambda point: sign * point[1])


def _directions(scores: dict[str, Any]) -> dict[str, bool]:
    """Which metrics of ``scores.json`` are better when higher, by lower-case name."""
    return {
        name.lower(): metric["higher_is_better"]
        for name, metric in (scores.get("metrics") or {}).items()
        if isinstance(metric, dict) and isinstance(metric.get("higher_is_better"), bool)
    }


def _spans_decades(series: list[Series]) -> bool:
    """Whether the values span so much that a linear scale would hide the end of the curve."""
    values = [value for line in series for _, value in line.points]
    return min(values) > 0 and max(values) / min(values) > 10
