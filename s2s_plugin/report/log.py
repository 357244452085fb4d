"""Read the learning curves from fairseq's log (``--log-format json``)."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Curve = dict[int, float]  # value by number of updates

RECORD = re.compile(r"(?:^|\| |\] - )(\{.*\})\s*$")  # bare, or behind fairseq's or Hydra's prefix
COUNT = "_num_updates"
# What fairseq logs in addition to the metrics: speed, sizes, optimizer.
BOOKKEEPING = {"wps", "ups", "wpb", "bsz", "num_updates", "lr", "gnorm", "clip", "loss_scale", "wall"}
BOOKKEEPING |= {"train_wall", "gb_free", "cuda_gb_allocated", "cuda_gb_reserved", "epoch", "update"}


@dataclass
class Curves:
    """The curves of one training: the train loss, and each validation metric by subset."""

    inner: Curve = field(default_factory=dict)  # loss every --log-interval updates
    epochs: Curve = field(default_factory=dict)  # loss at the end of each epoch
    valid: dict[str, dict[str, Curve]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(dict)))

    @property
    def train(self) -> Curve:
        """Return the train loss in the finest resolution."""
        return self.inner if len(self.inner) > 1 else self.epochs or self.inner

    def rewind(self, updates: int) -> None:
        """Discard everything from ``updates`` on: the training went back to an earlier checkpoint."""
        curves = [self.inner, self.epochs]
        curves += [curve for subsets in self.valid.values() for curve in subsets.values()]
        for curve in curves:
            for late in [count for count in curve if count >= updates]:
                del curve[late]


def read_curves(path: Path) -> Curves:
    """Read the curves in the log at ``path``; empty if there is no log.

    A training that was stopped and resumed appends to its log and repeats some updates: the last record counts, and
    points between the checkpoint and the interruption are discarded.
    """
    curves = Curves()
    if not path.is_file():
        return curves
    for record in _records(path):
        _add(curves, record)
    return curves


def _records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the JSON records among the log's lines; skip a line cut short by a crash."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            match = RECORD.search(line)
            if not match:
                continue
            try:
                record = json.loads(match[1])
            except json.JSONDecodeError:
                continue
            if isinstance(record, dict):
                yield record


def _add(curves: Curves, record: dict[str, Any]) -> None:
    """Add one progress record: inner training, end of epoch, or validation of a subset."""
    values = {name: value for name, text in record.items() if (value := _number(text)) is not None}
    if "num_updates" in values:
        updates = int(values["num_updates"])
        if updates <= max(curves.inner, default=-1):
            curves.rewind(updates)
        if "loss" in values:
            curves.inner[updates] = values["loss"]
        return
    for name, count in values.items():
        if not name.endswith(COUNT):
            continue
        subset, updates = name.removesuffix(COUNT), int(count)
        if subset == "train":
            if "train_loss" in values:
                curves.epochs[updates] = values["train_loss"]
        else:
            _add_valid(curves, subset, updates, values)


def _add_valid(curves: Curves, subset: str, updates: int, values: dict[str, float]) -> None:
    for name, value in values.items():
        metric = name.removeprefix(f"{subset}_")
        if metric != name and metric not in BOOKKEEPING and not metric.startswith("best_"):
            curves.valid[metric][subset][updates] = value


def _number(text: object) -> float | None:
    """Parse a finite number; fairseq writes numbers as strings."""
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
