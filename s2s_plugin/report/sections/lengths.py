"""Scores by the length of the source: does the model keep up when sentences get long?"""

from __future__ import annotations

import itertools
import math
from typing import Any

from omegaconf import OmegaConf

from s2s_plugin.report.drawing.style import INK, QUIET, SERIES_COLORS, new_figure, style_axes, to_png
from s2s_plugin.report.run import Output, RunData
from s2s_plugin.report.words import count_words
from s2s_plugin.scoring.evaluate import check_metrics, evaluate

DEFAULT_METRICS = ("s2s_bleu", "s2s_chrf")
COLORS = SERIES_COLORS[1:3]  # one for each metric; further ones are left out
COUNTED = {"words": "sentences", "letters": "words", "frames": "items"}  # by the unit of length
NUM_BUCKETS = 6


def length_section(run: RunData) -> dict[str, Any] | None:
    """Show the first metrics of the run by source length.

    Raises:
        UserError: the configuration of the run has an unknown metric.
    """
    if not run.outputs:
        return None
    sizes = [(item.length if item.source is None else count_words(item.source), item) for item in run.outputs]
    items = [(length, item) for length, item in sizes if item.references and length is not None]
    lengths = {length for length, _ in items}
    if not items:
        return {"note": "No item has both a reference and a length: nothing to compare."}
    title, unit = "Scores by source length", "words"
    if run.from_signals:
        if len(lengths) == 1:
            return {"note": "All sources are equally long: nothing to compare."}
        title, unit = "Scores by source length in frames", "frames"
    elif lengths == {1}:
        unit, items = "letters", [(len(item.source or ""), item) for _, item in items]
    buckets = score_buckets(items, run.options, min_width=2 if unit == "letters" else 10)
    metrics = next(iter(buckets.values()))["scores"]
    return {
        "title": title,
        "buckets": buckets,
        "unit": unit,
        "counted": COUNTED[unit],
        "metrics": metrics,
        "highest": max([1.0, *(score["score"] for each in buckets.values() for score in each["scores"].values())]),
        "pictures": {f"{next(iter(metrics)).lower()}_by_length.png": draw_png(buckets, title, unit)},
    }


def score_buckets(items: list[tuple[int, Output]], options: dict[str, Any], min_width: int) -> dict[str, dict]:
    """Return count and scores of each nonempty bucket by its label, ``11–20`` or ``51+``.

    ``scores`` holds score, signature and direction of the first metrics of the run, as the score stage writes them.
    """
    names = (options.get("metrics") or DEFAULT_METRICS)[: len(COLORS)]
    check_metrics(names)
    scoring = OmegaConf.create(options["scoring"]) if options.get("scoring") else None
    buckets = {}
    for low, high in bucket_ranges([length for length, _ in items], min_width):
        inside = [item for length, item in items if low <= length and (high is None or length <= high)]
        if inside:
            references = [item.references[0] if len(item.references) == 1 else item.references for item in inside]
            scores = evaluate(names, [item.hypothesis for item in inside], references, scoring)
            buckets[f"{low}+" if high is None else f"{low}–{high}"] = {"count": len(inside), "scores": scores}
    return buckets


def bucket_ranges(lengths: list[int], min_width: int = 10) -> list[tuple[int, int | None]]:
    """Return six inclusive ranges of round width that hold nearly all lengths; the last one is open.

    Sentences get the usual 1–10, 11–20, … 51+; longer inputs, such as frames, get wider ranges.
    """
    percentile95 = sorted(lengths)[math.ceil(0.95 * len(lengths)) - 1]
    widths = (unit * 10**power for power in itertools.count() for unit in (1, 2, 5))
    width = next(w for w in widths if w >= min_width and w * NUM_BUCKETS >= percentile95)
    starts = [min(1, *lengths), *(width * number + 1 for number in range(1, NUM_BUCKETS))]
    return list(zip(starts, [*(start - 1 for start in starts[1:]), None], strict=True))


def draw_png(buckets: dict[str, dict], title: str, unit: str) -> bytes:
    """Draw the buckets as groups of bars, one for each metric; the page has a table instead."""
    figure = new_figure(max(5.0, 1.1 * len(buckets) + 1.5), 3.3)
    axes = figure.add_subplot()
    style_axes(axes, f"source length ({unit}), number of {COUNTED[unit]} below")
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK)
    metrics = next(iter(buckets.values()))["scores"]
    for count, (metric, color) in enumerate(zip(metrics, COLORS, strict=False)):
        values = [bucket["scores"][metric]["score"] for bucket in buckets.values()]
        places = [index + 0.4 * (count - (len(metrics) - 1) / 2) for index in range(len(buckets))]
        label = metric.replace("chrF2", "chrF") + ("" if metrics[metric]["higher_is_better"] else ", lower is better")
        bars = axes.bar(places, values, width=0.36, color=color, label=label)
        axes.bar_label(bars, fmt="%.1f", fontsize=8, color=INK)
    labels = [f"{label}\nn = {bucket['count']:,}" for label, bucket in buckets.items()]
    axes.set_xticks(range(len(buckets)), labels, color=QUIET)
    axes.legend(frameon=False, fontsize=9, ncols=2, loc="lower right", bbox_to_anchor=(1, 1), borderpad=0)
    axes.margins(y=0.12)
    return to_png(figure)
