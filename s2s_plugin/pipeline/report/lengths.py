"""Scores by the length of the source: does the model keep up when sentences get long?"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from s2s_plugin.pipeline.report.markup import (
    Section,
    esc,
    missing,
    note,
    number,
    picture_link,
    signature_lines,
)
from s2s_plugin.pipeline.report.plot import ACCENT, INK, SECOND, new_figure, tidy, to_png
from s2s_plugin.pipeline.report.run import Output, Run
from s2s_plugin.pipeline.report.words import count_words

if TYPE_CHECKING:
    from sacrebleu.metrics import BLEU

OFFLINE_TOKENIZERS = {"13a", "intl", "zh", "char", "none", "ja-mecab", "ko-mecab"}
BUCKETS = 6


@dataclass(frozen=True)
class Bucket:
    """The scores of the items whose source is ``low`` to ``high`` long (inclusive; ``None``: no end)."""

    low: int
    high: int | None
    count: int
    bleu: float
    chrf: float

    @property
    def label(self) -> str:
        """The bucket's name: ``11–20`` or ``51+``."""
        if self.high is None:
            return f"{self.low}+"
        return f"{self.low}–{self.high}" if self.low != self.high else str(self.low)


def length_section(run: Run) -> Section:
    """BLEU and chrF by source length, as a table with bars and as ``bleu_by_length.png``."""
    title = "Scores by source length"
    if not run.outputs:
        return Section("length", title, missing("outputs.jsonl", "generate", "BLEU and chrF by source length"))
    items = [(length, item) for item in run.outputs if item.references and (length := _length(item)) is not None]
    if not items:
        return Section("length", title, note("No item has both a reference and a length: nothing to compare."))
    bleu, remark = bleu_like(run.scores)
    buckets, signatures = score_buckets(items, bleu)
    unit = "words" if any(item.source is not None for _, item in items) else "steps"
    png = draw_png(buckets, unit)
    body = "\n".join(
        [
            _table(buckets, unit),
            note(f"Corpus scores of each bucket. {remark}".strip()),
            signature_lines(signatures),
            picture_link("bleu_by_length.png", png),
        ]
    )
    return Section("length", title, body, {"bleu_by_length.png": png})


def bleu_like(scores: dict[str, Any]) -> tuple[BLEU, str]:
    """The BLEU metric with the tokeniser and case of the run's own score, and a remark where it cannot be."""
    from sacrebleu.metrics import BLEU

    metric = (scores.get("metrics") or {}).get("BLEU") or {}
    signature = str(metric.get("signature", "")) if isinstance(metric, dict) else ""
    found = re.search(r"tok:([^|]+)", signature)
    name = re.sub(r"-[0-9.].*$", "", found[1]) if found else "13a"  # ja-mecab-0.996-IPA -> ja-mecab
    lowercase = "case:lc" in signature
    if name in OFFLINE_TOKENIZERS:
        try:
            return BLEU(tokenize=name, lowercase=lowercase), ""
        except RuntimeError:  # the tokeniser's own package is not installed
            pass
    return BLEU(lowercase=lowercase), f"The tokeniser {name} of the run's BLEU is not available: 13a instead."


def score_buckets(items: list[tuple[int, Output]], bleu: BLEU) -> tuple[list[Bucket], dict[str, str]]:
    """The buckets that have items, in order, and the signatures of the two metrics."""
    from sacrebleu.metrics import CHRF

    chrf = CHRF()
    buckets = []
    for low, high in bucket_ranges([length for length, _ in items]):
        inside = [item for length, item in items if low <= length and (high is None or length <= high)]
        if not inside:
            continue
        hypotheses = [item.hypothesis for item in inside]
        references = _streams(inside)
        scores = [metric.corpus_score(hypotheses, references).score for metric in (bleu, chrf)]
        buckets.append(Bucket(low, high, len(inside), *scores))
    return buckets, {"BLEU": str(bleu.get_signature()), "chrF2": str(chrf.get_signature())}


def bucket_ranges(lengths: list[int]) -> list[tuple[int, int | None]]:
    """Six ranges of round width that hold nearly all lengths; the last one is open.

    Sentences get the usual 1–10, 11–20, … 51+; longer inputs (frames, say) get wider ranges.
    """
    ordered = sorted(lengths)
    long = ordered[math.ceil(0.95 * len(ordered)) - 1]
    widths = (unit * 10**power for power in range(1, 9) for unit in (1, 2, 5))
    width = next(width for width in widths if width * BUCKETS >= long or width >= 5 * 10**8)
    ranges: list[tuple[int, int | None]] = [
        (start * width + 1 if start else 0, (start + 1) * width) for start in range(BUCKETS - 1)
    ]
    if ordered[0] > 0:
        ranges[0] = (1, width)
    return [*ranges, ((BUCKETS - 1) * width + 1, None)]


def draw_png(buckets: list[Bucket], unit: str) -> bytes:
    """The buckets as pairs of bars."""
    figure = new_figure(max(5.0, 1.1 * len(buckets) + 1.5), 3.3)
    axes = figure.add_subplot()
    tidy(axes, "Scores by source length", f"source length ({unit}), number of sentences below")
    for name, shift, colour in (("BLEU", -0.2, ACCENT), ("chrF", 0.2, SECOND)):
        values = [bucket.bleu if name == "BLEU" else bucket.chrf for bucket in buckets]
        places = [index + shift for index in range(len(buckets))]
        axes.bar(places, values, width=0.36, color=colour, label=name)
        for place, value in zip(places, values, strict=True):
            axes.text(place, value, f"{value:.1f}", ha="center", va="bottom", fontsize=8, color=INK)
    axes.set_xticks(range(len(buckets)), [f"{bucket.label}\nn = {bucket.count:,}" for bucket in buckets])
    axes.legend(frameon=False, fontsize=9, ncols=2, loc="lower right", bbox_to_anchor=(1, 1), borderpad=0)
    axes.margins(y=0.12)
    return to_png(figure)


def _length(item: Output) -> int | None:
    return item.length if item.source is None else count_words(item.source)


def _streams(items: list[Output]) -> list[list[str]]:
    """The references as sacrebleu wants them: the first of each item, the second of each item, …

    Where an item has fewer than others its first one stands in again.
    """
    most = max(len(item.references) for item in items)
    return [
        [item.references[place] if place < len(item.references) else item.references[0] for item in items]
        for place in range(most)
    ]


def _table(buckets: list[Bucket], unit: str) -> str:
    top = max([1.0, *(value for bucket in buckets for value in (bucket.bleu, bucket.chrf))])
    rows = "\n".join(
        f'<tr><th scope="row">{esc(bucket.label)}</th><td>{bucket.count:,}</td>'
        f"{_bar(bucket.bleu, top, 1)}{_bar(bucket.chrf, top, 2)}</tr>"
        for bucket in buckets
    )
    return (
        '<table class="bars"><thead><tr>'
        f'<th scope="col">{esc(unit.capitalize())}</th><th scope="col">'
        '<abbr title="Number of sentences">n</abbr></th>'
        '<th scope="col">BLEU</th><th scope="col">chrF</th></tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table>"
    )


def _bar(value: float, top: float, series: int) -> str:
    return (
        f'<td><div class="bar series-{series}"><b>{number(value)}</b>'
        f'<span><i style="width:{100 * max(value, 0) / top:.1f}%"></i></span></div></td>'
    )
