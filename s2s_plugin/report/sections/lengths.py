"""Scores by the length of the source: does the model keep up when sentences get long?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from s2s_plugin.report.drawing.style import INK, QUIET, SERIES_COLORS, new_figure, style_axes, to_png
from s2s_plugin.report.markup import Section, missing, note, render
from s2s_plugin.report.run import Output, RunData
from s2s_plugin.report.words import count_words
from s2s_plugin.scoring.evaluate import check_metrics, evaluate

DEFAULT_METRICS = ("s2s_bleu", "s2s_chrf")
COLORS = SERIES_COLORS[1:3]  # one for each metric; further ones are left out
SHORT_NAMES = {"chrF2": "chrF"}  # the signature says the rest
COUNTED = {"words": "sentences", "letters": "words", "frames": "items"}  # by the unit of length
NUM_BUCKETS = 6


@dataclass(frozen=True)
class Bucket:
    """The scores of the items whose source is ``low`` to ``high`` long (inclusive; ``None``: no end).

    ``scores`` holds score, signature and direction by metric, as the score stage writes them.
    """

    low: int
    high: int | None
    count: int
    scores: dict[str, dict[str, Any]]

    @property
    def label(self) -> str:
        """Return the name of the bucket: ``11–20`` or ``51+``."""
        if self.high is None:
            return f"{self.low}+"
        return f"{self.low}–{self.high}" if self.low != self.high else str(self.low)


def length_section(run: RunData) -> Section:
    """Show the first metrics of the run by source length.

    Raises:
        UserError: the configuration of the run has an unknown metric.
    """
    title, unit = "Scores by source length", "words"
    if not run.outputs:
        return Section("length", title, missing("outputs.jsonl", "generate", "scores by source length"))
    items = [(length, item) for item in run.outputs if item.references and (length := _length(item)) is not None]
    if not items:
        return Section("length", title, note("No item has both a reference and a length: nothing to compare."))
    if run.from_signals:
        if len({length for length, _ in items}) == 1:
            return Section("length", title, note("All sources are equally long: nothing to compare."))
        unit, title = "frames", "Scores by source length in frames"
    elif all(length == 1 for length, _ in items):
        unit, items = "letters", [(len(item.source or ""), item) for _, item in items]
    buckets = score_buckets(items, run.config, min_width=2 if unit == "letters" else 10)
    metrics = buckets[0].scores
    name, png = f"{next(iter(metrics)).lower()}_by_length.png", draw_png(buckets, title, unit)
    body = render(
        "sections/lengths.html.j2",
        buckets=buckets,
        unit=unit,
        counted=COUNTED[unit],
        metrics={_short_name(metric): score for metric, score in metrics.items()},
        signatures={metric: score["signature"] for metric, score in metrics.items()},
        highest=max([1.0, *(score["score"] for bucket in buckets for score in bucket.scores.values())]),
        name=name,
        png=png,
    )
    return Section("length", title, body, {name: png})


def score_buckets(items: list[tuple[int, Output]], config: dict[str, Any], min_width: int = 10) -> list[Bucket]:
    """Return the nonempty buckets, in order, scored by the first metrics of the run's configuration."""
    metrics = [str(name) for name in config.get("metrics") or DEFAULT_METRICS][: len(COLORS)]
    check_metrics(metrics)
    options = DictConfig(config["scoring"]) if isinstance(config.get("scoring"), dict) else None
    buckets = []
    for low, high in bucket_ranges([length for length, _ in items], min_width):
        inside = [item for length, item in items if low <= length and (high is None or length <= high)]
        if inside:
            references = [item.references[0] if len(item.references) == 1 else list(item.references) for item in inside]
            scores = evaluate(metrics, [item.hypothesis for item in inside], references, options)
            buckets.append(Bucket(low, high, len(inside), scores))
    return buckets


def bucket_ranges(lengths: list[int], min_width: int = 10) -> list[tuple[int, int | None]]:
    """Return six ranges of round width that hold nearly all lengths; the last one is open.

    Sentences get the usual 1–10, 11–20, … 51+; longer inputs, such as frames, get wider ranges.
    """
    ordered = sorted(lengths)
    percentile95 = ordered[math.ceil(0.95 * len(ordered)) - 1]
    widths = (unit * 10**power for power in range(9) for unit in (1, 2, 5))
    width = next(w for w in widths if w >= min_width and (w * NUM_BUCKETS >= percentile95 or w >= 5 * 10**8))
    ranges: list[tuple[int, int | None]] = [
        (start * width + 1 if start else 0, (start + 1) * width) for start in range(NUM_BUCKETS - 1)
    ]
    if ordered[0] > 0:
        ranges[0] = (1, width)
    return [*ranges, ((NUM_BUCKETS - 1) * width + 1, None)]


def draw_png(buckets: list[Bucket], title: str, unit: str) -> bytes:
    """Draw the buckets as groups of bars, one for each metric; the page has a table instead."""
    figure = new_figure(max(5.0, 1.1 * len(buckets) + 1.5), 3.3)
    axes = figure.add_subplot()
    style_axes(axes, f"source length ({unit}), number of {COUNTED[unit]} below")
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK)
    metrics = buckets[0].scores
    for count, (metric, color) in enumerate(zip(metrics, COLORS, strict=False)):
        values = [bucket.scores[metric]["score"] for bucket in buckets]
        places = [index + 0.4 * (count - (len(metrics) - 1) / 2) for index in range(len(buckets))]
        label = _short_name(metric) + ("" if metrics[metric]["higher_is_better"] else ", lower is better")
        bars = axes.bar(places, values, width=0.36, color=color, label=label)
        axes.bar_label(bars, fmt="%.1f", fontsize=8, color=INK)
    axes.set_xticks(range(len(buckets)), [f"{bucket.label}\nn = {bucket.count:,}" for bucket in buckets], color=QUIET)
    axes.legend(frameon=False, fontsize=9, ncols=2, loc="lower right", bbox_to_anchor=(1, 1), borderpad=0)
    axes.margins(y=0.12)
    return to_png(figure)


def _length(item: Output) -> int | None:
    return item.length if item.source is None else count_words(item.source)


def _short_name(metric: str) -> str:
    return SHORT_NAMES.get(metric, metric)
