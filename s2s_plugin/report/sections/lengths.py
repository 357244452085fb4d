"""Scores by the length of the source: does the model keep up when sentences get long?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from omegaconf import OmegaConf

from s2s_plugin.report.run import Output, RunData
from s2s_plugin.report.words import count_words
from s2s_plugin.scoring.evaluate import check_metrics, evaluate

DEFAULT_METRICS = ("s2s_bleu", "s2s_chrf")
MAX_METRICS = 2  # the first ones
COUNTED = {"words": "sentences", "letters": "words", "frames": "items"}  # by the unit of length
MIN_WIDTHS = {"words": 10, "letters": 2, "frames": 10}  # of a bucket
NUM_BUCKETS = 6


def length_section(run: RunData) -> dict[str, Any] | None:
    """Show the first metrics of the run by source length.

    Raises:
        UserError: the configuration of the run has an unknown metric.
    """
    if not run.outputs:
        return None
    unit, items = measure_lengths([item for item in run.outputs if item.references])
    if not items:
        return {"note": "No item has both a reference and a length: nothing to compare."}
    if unit == "frames" and len({length for length, _ in items}) == 1:
        return {"note": "All sources are equally long: nothing to compare."}
    buckets = score_buckets(items, run.options, MIN_WIDTHS[unit])
    return {
        "title": "Scores by source length" + (" in frames" if unit == "frames" else ""),
        "buckets": buckets,
        "unit": unit,
        "counted": COUNTED[unit],
        "metrics": next(iter(buckets.values()))["scores"],
        "highest": max([1.0, *(score["score"] for each in buckets.values() for score in each["scores"].values())]),
    }


def measure_lengths(outputs: Sequence[Output]) -> tuple[str, list[tuple[int, Output]]]:
    """Return the unit of length, and each output that has one with the length of its source.

    The unit is words, letters if all sources are single words, or frames of signals.
    """
    sizes = [(item.length if item.source is None else count_words(item.source), item) for item in outputs]
    items = [(length, item) for length, item in sizes if length is not None]
    if outputs and all(item.source is None for item in outputs):
        return "frames", items
    if {length for length, _ in items} == {1}:
        return "letters", [(len(item.source or ""), item) for _, item in items]
    return "words", items


def score_buckets(items: list[tuple[int, Output]], options: dict[str, Any], min_width: int) -> dict[str, dict]:
    """Return count and scores of each nonempty bucket by its label, ``11–20`` or ``51+``.

    ``scores`` holds score, signature and direction of the first metrics of the run, as the score stage writes them.
    """
    names = (options.get("metrics") or DEFAULT_METRICS)[:MAX_METRICS]
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
