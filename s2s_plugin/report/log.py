"""Read the learning curves from fairseq's log (``--log-format json``)."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

Curve = dict[int, float]  # value by number of updates

COUNT = "_num_updates"
# What fairseq logs in addition to the metrics: speed, sizes, optimizer.
BOOKKEEPING = {"wps", "ups", "wpb", "bsz", "num_updates", "lr", "gnorm", "clip", "loss_scale", "wall"}
BOOKKEEPING |= {"train_wall", "gb_free", "cuda_gb_allocated", "cuda_gb_reserved", "epoch", "update"}
PACE = ("lr", "gnorm", "wps", "wall")  # of these, what is kept: learning rate, gradient norm, speed, seconds


@dataclass
class Curves:
    """The curves of one training: the train loss, and each validation metric by subset."""

    passes: float = 0.0  # over the training data, until the last record
    inner: Curve = field(default_factory=dict)  # loss every --log-interval updates
    pace: dict[str, Curve] = field(default_factory=lambda: {name: {} for name in PACE})  # at the same updates
    epochs: Curve = field(default_factory=dict)  # loss at the end of each epoch
    valid: dict[str, dict[str, Curve]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(dict)))

    @property
    def train(self) -> Curve:
        """Return the train loss in the finest resolution."""
        return self.inner if len(self.inner) > 1 else self.epochs or self.inner

    def add(self, record: dict) -> None:
        """Add one progress record: inner training, end of epoch, or validation of a subset."""
        numbers = {name: float(text) for name, text in record.items() if text is not None}
        values = {name: value for name, value in numbers.items() if math.isfinite(value)}
        if "num_updates" in values:
            updates = int(values["num_updates"])
            self.passes = values["update"]  # fairseq's word for epochs and the part of the next
            if updates <= max(self.inner, default=-1):
                self.rewind(updates)
            if "loss" in values:
                self.inner[updates] = values["loss"]
            for name in values.keys() & set(PACE):
                self.pace[name][updates] = values[name]
            return
        for subset in (name.removesuffix(COUNT) for name in values if name.endswith(COUNT)):
            updates = int(values[subset + COUNT])
            metrics = {name.removeprefix(f"{subset}_"): name for name in values if name.startswith(f"{subset}_")}
            for metric, name in metrics.items():
                if subset == "train" and metric == "loss":
                    self.epochs[updates] = values[name]
                elif subset != "train" and metric not in BOOKKEEPING and not metric.startswith("best_"):
                    self.valid[metric][subset][updates] = values[name]

    def rewind(self, updates: int) -> None:
        """Discard everything from ``updates`` on: the training went back to an earlier checkpoint."""
        valid = (each for subsets in self.valid.values() for each in subsets.values())
        for curve in (self.inner, self.epochs, *self.pace.values(), *valid):
            for late in [count for count in curve if count >= updates]:
                del curve[late]


def progress_record(message: str) -> dict | None:
    """Parse one of fairseq's ``--log-format json`` messages; return None for any other message."""
    try:
        record = json.loads(message)
    except ValueError:
        return None
    return record if isinstance(record, dict) and "epoch" in record else None


def read_curves(path: Path) -> Curves:
    """Read the curves in the log at ``path``; empty if there is no log.

    A training that was stopped and resumed appends to its log and repeats some updates: the last record counts, and
    points between the checkpoint and the interruption are discarded.
    """
    curves = Curves()
    if path.is_file():
        with path.open(encoding="utf-8", errors="replace") as lines:
            for record in filter(None, map(progress_record, lines)):
                curves.add(record)
    return curves
