"""A line chart as inline SVG: its colours come from the page's style sheet, its text stays text."""

from __future__ import annotations

import math
from dataclasses import dataclass

from s2s_plugin.report.markup import esc

Point = tuple[float, float]

WIDTH, HEIGHT = 400, 230
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 10, 38


@dataclass(frozen=True)
class Scale:
    """A map from values to pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return self.start + (value - low) / (high - low) * (self.end - self.start)


def line_chart(
    lines: list[tuple[list[Point], bool]],
    classes: list[str],
    best: Point | None,
    label: str,
    log_scale: bool = False,
) -> str:
    """A chart of ``lines``, each a list of points and whether to draw them as dots too.

    ``classes`` are the CSS classes of the lines, ``best`` is a point to ring, ``label`` tells screen readers
    what this is.
    """
    points = [point for line, _ in lines for point in line]
    x = Scale(*_range([x for x, _ in points], from_zero=True), LEFT, WIDTH - RIGHT)
    low, high = _range([y for _, y in points], padding=0 if log_scale else 0.06)
    if log_scale:
        low, high = low / 1.15, high * 1.15
    y = Scale(low, high, HEIGHT - BOTTOM, TOP, log=log_scale)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{esc(label)}">',
        *_axes(x, y),
        *(_line(line, dots, name, x, y) for (line, dots), name in zip(lines, classes, strict=True)),
    ]
    if best:
        parts.append(f'<circle class="ring" cx="{x(best[0]):.1f}" cy="{y(best[1]):.1f}" r="6"/>')
    return "\n".join([*parts, "</svg>"])


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers between ``low`` and ``high``, about so many."""
    raw = (high - low) / about
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * magnitude for unit in (1, 2, 2.5, 5, 10) if unit * magnitude >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(count * step, 10) for count in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten between ``low`` and ``high``; powers alone where those are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for units in ((1, 2, 5), (1,)):
        found = [unit * 10.0**power for power in powers for unit in units if low <= unit * 10.0**power <= high]
        if len(found) <= 7:
            break
    return found


def short(value: float) -> str:
    """A tick's text: 12500 becomes 12.5k."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}".replace("-", "−")
    return f"{value:g}".replace("-", "−")


def _range(values: list[float], from_zero: bool = False, padding: float = 0.0) -> Point:
    """The ends of an axis, never the same."""
    low, high = min(values), max(values)
    if from_zero:
        low = min(low, 0.0)
    if high - low < 1e-9:
        return low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
    extra = (high - low) * padding
    return low - extra, high + extra


def _axes(x: Scale, y: Scale) -> list[str]:
    parts = []
    for value in log_ticks(y.low, y.high) if y.log else ticks(y.low, y.high, about=4):
        row = y(value)
        parts.append(f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{row:.1f}" y2="{row:.1f}"/>')
        parts.append(f'<text class="tick y" x="{LEFT - 8}" y="{row + 4:.1f}">{short(value)}</text>')
    for value in ticks(x.low, x.high, about=4):
        parts.append(f'<text class="tick x" x="{x(value):.1f}" y="{HEIGHT - BOTTOM + 17}">{short(value)}</text>')
    parts.append(f'<text class="axis" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 4}">updates</text>')
    return parts


def _line(points: list[Point], dots: bool, name: str, x: Scale, y: Scale) -> str:
    path = " ".join(f"{x(across):.1f},{y(up):.1f}" for across, up in points)
    drawn = [f'<g class="{name}"><polyline points="{path}"/>']
    if dots or len(points) == 1:
        drawn += [
            f'<circle cx="{x(across):.1f}" cy="{y(up):.1f}" r="2.6">'
            f"<title>{up:,.4g} at update {across:,.0f}</title></circle>"
            for across, up in points
        ]
    return "".join([*drawn, "</g>"])
