"""Scores by the length of the source: does the model keep up when sentences get long?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from s2s_plugin.report.markup import (
    Section,
    esc,
    missing,
    note,
    number,
    picture_link,
    signature_lines,
)
from s2s_plugin.report.plot import ACCENT, INK, SECOND, new_figure, tidy, to_png
from s2s_plugin.report.run import Output, Run
from s2s_plugin.report.words import count_words
from s2s_plugin.scoring.evaluate import check_metrics, evaluate

DEFAULT_METRICS = ("s2s_bleu", "s2s_chrf")
COLOURS = (ACCENT, SECOND)  # one for each metric: more are left out
SHORT_NAMES = {"chrF2": "chrF"}  # the signature says the rest
COUNTED = {"words": "sentences", "letters": "words", "frames": "items"}  # by the unit of length
BUCKETS = 6


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
        """The bucket's name: ``11–20`` or ``51+``."""
        if self.high is None:
            return f"{self.low}+"
        return f"{self.low}–{self.high}" if self.low != self.high else str(self.low)


def length_section(run: Run) -> Section:
    """The run's first metrics by source length, as a table with bars and as ``METRIC_by_length.png``.

    Raises:
        UserError: the run's configuration names a metric that is not known.
    """
    title = "Scores by source length"
    if not run.outputs:
        return Section("length", title, missing("outputs.jsonl", "generate", "scores by source length"))
    items = [(length, item) for item in run.outputs if item.references and (length := _length(item)) is not None]
    if not items:
        return Section("length", title, note("No item has both a reference and a length: nothing to compare."))
    unit = "words"
    if run.from_signals:
        if len({length for length, _ in items}) == 1:
            return Section("length", title, note("All sources are equally long: nothing to compare."))
        unit, title = "frames", "Scores by source length in frames"
    elif all(length == 1 for length, _ in items):
        unit, items = "letters", [(len(item.source or ""), item) for _, item in items]
    buckets = score_buckets(items, run.config, narrowest=2 if unit == "letters" else 10)
    png = draw_png(buckets, title, unit)
    name = f"{next(iter(buckets[0].scores)).lower()}_by_length.png"
    body = "\n".join(
        [
            _table(buckets, unit),
            note("Corpus scores of each bucket."),
            signature_lines({metric: score["signature"] for metric, score in buckets[0].scores.items()}),
            picture_link(name, png),
        ]
    )
    return Section("length", title, body, {name: png})


def score_buckets(items: list[tuple[int, Output]], config: dict[str, Any], narrowest: int = 10) -> list[Bucket]:
    """The buckets that have items, in order, by the first metrics of the run with this configuration."""
    metrics = [str(name) for name in config.get("metrics") or DEFAULT_METRICS][: len(COLOURS)]
    check_metrics(metrics)
    options = DictConfig(config["scoring"]) if isinstance(config.get("scoring"), dict) else None
    buckets = []
    for low, high in bucket_ranges([length for length, _ in items], narrowest):
        inside = [item for length, item in items if low <= length and (high is None or length <= high)]
        if inside:
            references = [item.references[0] if len(item.references) == 1 else list(item.references) for item in inside]
            scores = evaluate(metrics, [item.hypothesis for item in inside], references, options)
            buckets.append(Bucket(low, high, len(inside), scores))
    return buckets


def bucket_ranges(lengths: list[int], narrowest: int = 10) -> list[tuple[int, int | None]]:
    """Six ranges of round width, at least ``narrowest``, that hold nearly all lengths; the last one is open.

    Sentences get the usual 1–10, 11–20, … 51+; longer inputs (frames, say) get wider ranges, words narrower ones.
    """
    ordered = sorted(lengths)
    long = ordered[math.ceil(0.95 * len(ordered)) - 1]
    widths = (unit * 10**power for power in range(9) for unit in (1, 2, 5))
    width = next(w for w in widths if w >= narrowest and (w * BUCKETS >= long or w >= 5 * 10**8))
    ranges: list[tuple[int, int | None]] = [
        (start * width + 1 if start else 0, (start + 1) * width) for start in range(BUCKETS - 1)
    ]
    if ordered[0] > 0:
        ranges[0] = (1, width)
    return [*ranges, ((BUCKETS - 1) * width + 1, None)]


def draw_png(buckets: list[Bucket], title: str, unit: str) -> bytes:
    """The buckets as groups of bars, one for each metric."""
    figure = new_figure(max(5.0, 1.1 * len(buckets) + 1.5), 3.3)
    axes = figure.add_subplot()
    tidy(axes, title, f"source length ({unit}), number of {COUNTED[unit]} below")
    metrics = buckets[0].scores
    for count, metric in enumerate(metrics):
        values = [bucket.scores[metric]["score"] for bucket in buckets]
        places = [index + 0.4 * (count - (len(metrics) - 1) / 2) for index in range(len(buckets))]
        label = ", ".join(_heading(metric, metrics[metric]))
        axes.bar(places, values, width=0.36, color=COLOURS[count], label=label)
        for place, value in zip(places, values, strict=True):
            axes.text(place, value, f"{value:.1f}", ha="center", va="bottom", fontsize=8, color=INK)
    axes.set_xticks(range(len(buckets)), [f"{bucket.label}\nn = {bucket.count:,}" for bucket in buckets])
    axes.legend(frameon=False, fontsize=9, ncols=2, loc="lower right", bbox_to_anchor=(1, 1), borderpad=0)
    axes.margins(y=0.12)
    return to_png(figure)


def _length(item: Output) -> int | None:
    return item.length if item.source is None else count_words(item.source)


def _heading(metric: str, score: dict[str, Any]) -> list[str]:
    """The metric's short name, and a remark where less is more; that high scores are good needs none."""
    name = SHORT_NAMES.get(metric, metric)
    return [name] if score["higher_is_better"] else [name, "lower is better"]


def _table(buckets: list[Bucket], unit: str) -> str:
    top = max([1.0, *(score["score"] for bucket in buckets for score in bucket.scores.values())])
    headings = [_heading(metric, score) for metric, score in buckets[0].scores.items()]
    heads = "".join(
        f'<th scope="col">{esc(name)}{"".join(f" <small>{text}</small>" for text in remark)}</th>'
        for name, *remark in headings
    )
    rows = "\n".join(
        f'<tr><th scope="row">{esc(bucket.label)}</th><td>{bucket.count:,}</td>'
        + "".join(_bar(score["score"], top, series) for series, score in enumerate(bucket.scores.values(), start=1))
        + "</tr>"
        for bucket in buckets
    )
    return (
        '<table class="bars"><thead><tr>'
        f'<th scope="col">{esc(unit.capitalize())}</th><th scope="col">'
        f'<abbr title="Number of {COUNTED[unit]}">n</abbr></th>{heads}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table>"
    )


def _bar(value: float, top: float, series: int) -> str:
    return (
        f'<td><div class="bar series-{series}"><b>{number(value)}</b>'
        f'<span><i style="width:{100 * max(value, 0) / top:.1f}%"></i></span></div></td>'
    )
