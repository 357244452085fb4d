"""Tables and plots of ``docs/limits.md``, from ``bench/results/limits.json``.

A table stands between ``<!-- limits: LABORATORY.EXPERIMENT -->`` and ``<!-- end -->``; what is between them is
written here.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common import ROOT, read_result
from common import table as markdown

RESULTS = "limits"
PAGE = ROOT / "docs" / "limits.md"
IMAGES = ROOT / "docs" / "images"
BLOCK = re.compile(r"(<!-- limits: (\w+)\.(\w+) -->\n).*?(?=<!-- end -->)", re.DOTALL)


def write() -> None:
    """Bring the page and its plots up to date."""
    results = read_result(RESULTS) or {}
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")
    for lab, experiments in results.items():
        for name, record in experiments.items():
            if "plot" in record:
                draw(record, IMAGES / f"limit-{lab}-{name}.svg")


def render(text: str, results: Mapping[str, Any]) -> str:
    """Return the text of the page with the tables of these results between its markers."""

    def fill(block: re.Match) -> str:
        head, lab, name = block.groups()
        record = results.get(lab, {}).get(name)
        if record is None:
            return f"{head}\nNot measured: `make limit-{lab}`.\n\n"
        plot = record.get("plot")
        image = f"![{plot['title']}](images/limit-{lab}-{name}.svg)\n\n" if plot else ""
        return f"{head}\n{image}{table(record)}\n{_recipe(record['recipe'])}\n\n"

    return BLOCK.sub(fill, text)


def table(record: Mapping[str, Any]) -> str:
    """Return a Markdown table of a record's rows: column to text, number, or list of the numbers of all seeds."""
    return markdown([{column: _cell(value) for column, value in row.items()} for row in record["rows"]])


def _cell(value: Any) -> str:
    """Return a text as it is, a number with one decimal, several numbers as their mean, and range if they differ."""
    if not isinstance(value, list):
        return f"{value:.1f}" if isinstance(value, float) else str(value)
    mean, low, high = (f"{of(value):z.1f}" for of in (statistics.mean, min, max))
    between = " to " if low.startswith("-") else "–"
    return mean if low == high else f"{mean} ({low}{between}{high})"


def _recipe(recipe: Mapping[str, Any]) -> str:
    """Return in a paragraph how the figures of a table were made."""
    seeds = len(recipe["seeds"])
    how = "one seed" if seeds == 1 else f"mean and range of {seeds} seeds"
    search = f"beam {recipe['beam']}, length penalty {recipe['lenpen']}"
    minutes = recipe["seconds"] / 60
    cost = f"{recipe['updates']} updates, median {minutes:.1f} minutes a run, CPU time ({recipe['machine']})"
    return f"*{recipe['data']}; {recipe['split']}. {recipe['metric']}; {search}; {how}; {cost}.*"


def draw(record: Mapping[str, Any], path: Path) -> None:
    """Draw the rows of a record as lines over its columns, with the range of the seeds.

    ``record["plot"]`` has ``title``, ``x`` and ``y``, the labels, and perhaps ``rows``, the names (first column) of the
    rows to draw, and ``columns``; the columns must hold numbers. With ``bars``, rows are bars, and a column without one
    has none. With ``points``, the names of two columns, rows are points.
    """
    from matplotlib import rc_context

    from s2s_plugin.report.drawing.style import INK, new_figure, style_axes

    plot, size = record["plot"], 8
    figure = new_figure(6.4, 3.4)
    axes = figure.subplots()
    style_axes(axes, plot["x"], size)
    (_draw_points if "points" in plot else _draw_series)(axes, record)
    axes.set_title(plot["y"], loc="left", fontsize=size, color=INK)
    figure.legend(loc="outside right upper", fontsize=size, frameon=False, labelcolor=INK)
    path.parent.mkdir(exist_ok=True)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": path.name}):  # text stays text; the same in every run
        figure.savefig(path, format="svg", metadata={"Date": None})
    path.write_text(re.sub(r" +$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE), encoding="utf-8")


def _draw_points(axes: Any, record: Mapping[str, Any]) -> None:
    """Draw each row as a point, at the means of two of its columns."""
    from s2s_plugin.report.drawing.style import INK, SERIES_COLORS

    markers = "osD^vP*"
    for axis in (axes.axhline, axes.axvline):
        axis(0, color=INK, linewidth=0.6)
    for number, row in enumerate(record["rows"]):
        x, y = (statistics.mean(row[column]) for column in record["plot"]["points"])
        axes.plot(
            x, y, markers[number % len(markers)], color=SERIES_COLORS[number % len(SERIES_COLORS)],
            label=next(iter(row.values())),
        )  # fmt: skip


def _draw_series(axes: Any, record: Mapping[str, Any]) -> None:
    """Draw each row as a line or as bars over the columns."""
    from s2s_plugin.report.drawing.style import INK, SERIES_COLORS

    plot = record["plot"]
    rows = [(name, numbers) for (_, name), *numbers in (list(row.items()) for row in record["rows"])]
    rows = [row for row in rows if row[0] in plot.get("rows", [row[0]])]
    if "columns" in plot:
        rows = [(name, [each for each in numbers if each[0] in plot["columns"]]) for name, numbers in rows]
    for number, (name, columns) in enumerate(rows):
        numbers = {step: value for step, (_, value) in enumerate(columns) if value != ""}
        values = [value if isinstance(value, list) else [value] for value in numbers.values()]
        low, means, high = map(min, values), map(statistics.mean, values), map(max, values)
        style: dict[str, Any] = {"color": SERIES_COLORS[number % len(SERIES_COLORS)]}
        if plot.get("bars"):
            width = 0.8 / len(rows)
            places = [step + (number - (len(rows) - 1) / 2) * width for step in numbers]
            axes.bar(places, list(means), 0.9 * width, label=name, **style)
            axes.vlines(places, list(low), list(high), color=INK, linewidth=0.8)
            continue
        axes.fill_between(list(numbers), list(low), list(high), alpha=0.15, linewidth=0, **style)
        axes.plot(
            list(numbers), list(means), linestyle="-" if number < len(SERIES_COLORS) else "--", label=name, **style
        )
    axes.set_xticks(range(len(rows[0][1])), [column for column, _ in rows[0][1]])
    axes.set_ylim(bottom=0)
