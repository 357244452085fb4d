"""Trivial baselines, which show what a score means; an app lists those that suit it in ``baselines``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from torch.nn import functional as F

from s2s_plugin.corpora import directions
from s2s_plugin.datasets.features import PackedFeatures
from s2s_plugin.datasets.manifest import MODALITIES, prepared_items
from s2s_plugin.errors import UserError
from s2s_plugin.tasks.loading import read_source_meta
from s2s_plugin.text.matching import TfidfIndex, words
from s2s_plugin.utils.digests import read_prepared
from s2s_plugin.utils.progress import Progress

LABELS = {"copy": "copy of the source", "lead": "lead words", "neighbour": "nearest neighbour",
          "frequent": "most frequent text"}  # fmt: skip
TEXT, SIGNAL = ("copy", "lead", "neighbour"), ("neighbour", "frequent")  # of each kind of source
POOLED = (8, 16, 8)  # maximum size of a pooled signal: time, and the two dimensions of a step


def check_baselines(names: Sequence[str], source: str) -> None:
    """Raise UserError if a baseline is unknown, or not for this source: a language, or audio, video or image."""
    kind, known = (source, SIGNAL) if source in MODALITIES else ("text", TEXT)
    for name in names:
        if name not in known:
            raise UserError(f"baselines must be among {', '.join(known)} for a source of {kind}, got {name}")


def baselines(
    names: Sequence[str], data: Path, source: str, target: str, subset: str, rows: list[dict]
) -> dict[str, list[str]]:
    """Return the hypotheses of each baseline by its label in reports.

    ``data`` is the prepared folder, ``rows`` are those of ``outputs.jsonl``, of the split ``subset``.

    Raises:
        UserError: the training data is gone.
    """
    learned = [name for name in names if name != "copy"]
    if learned and not data.is_dir():
        raise UserError(
            f"baselines=[{','.join(learned)}] requires the training data, and {data} is gone: prepare it again, or set "
            f"baselines={'[]' if source in MODALITIES else '[copy]'}"
        )
    if source in MODALITIES:
        hypotheses = _signal_baselines(data, subset, len(rows))
        return {LABELS[name]: hypotheses[name] for name in names}
    sources, targets = [], []
    if learned:
        sources, targets = (read_prepared(data / "text" / f"train.{language}") for language in (source, target))
    return {LABELS[name]: _text_baseline(name, sources, targets, rows) for name in names}


def _text_baseline(name: str, sources: list[str], targets: list[str], rows: list[dict]) -> list[str]:
    """Return the hypotheses of one baseline; training sources have tags if there are several directions."""
    queries = [row["source"] for row in rows]
    if name == "copy":
        return queries
    if name == "lead":
        return lead_words(queries, targets)
    hypotheses = [""] * len(rows)
    for direction in {row.get("direction") for row in rows}:
        prefix = "" if direction is None else f"{directions.tag(direction.partition('-')[2])} "
        train = [number for number, text in enumerate(sources) if text.startswith(prefix)]
        test = [number for number, row in enumerate(rows) if row.get("direction") == direction]
        train_texts = [sources[number].removeprefix(prefix) for number in train]
        for number, nearest in zip(test, nearest_texts(train_texts, [queries[n] for n in test]), strict=True):
            hypotheses[number] = targets[train[nearest]]
    return hypotheses


def lead_words(sources: Sequence[str], targets: Sequence[str]) -> list[str]:
    """Return the first words of each source, as many as ``targets`` have on average."""
    count = max(1, round(fmean(len(text.split()) for text in targets)))
    return [" ".join(text.split()[:count]) for text in sources]


def nearest_texts(train: Sequence[str], test: Sequence[str]) -> list[int]:
    """Return, for each text of ``test``, the number of the text of ``train`` with the most similar words."""
    index = TfidfIndex(train, words)
    return [index.nearest(text) for text in Progress(test, "      neighbours", unit="text")]


def _signal_baselines(data: Path, subset: str, count: int) -> dict[str, list[str]]:
    train = prepared_items(data / "train.tsv")
    frequent = Counter(text for item in train for text in item.texts).most_common(1)[0][0]
    features = data / read_source_meta(data)["features"]
    known = PackedFeatures(features / "train").select(train, data / "train.tsv")
    nearest = nearest_items(known, PackedFeatures(features / subset))
    return {"frequent": [frequent] * count, "neighbour": [train[number].texts[0] for number in nearest]}


def nearest_items(train: PackedFeatures, test: PackedFeatures) -> list[int]:
    """Return, for each item of ``test``, the number of the nearest of ``train`` by pooled features (Euclidean)."""
    keys = torch.stack([pooled(train[i]) for i in Progress(range(len(train)), "      neighbours", unit="item")])
    mean, std = keys.mean(0), keys.std(0).clamp(min=1e-6)
    keys = (keys - mean) / std
    queries = torch.stack([(pooled(test[i]) - mean) / std for i in range(len(test))])
    return [int(torch.cdist(query, keys).argmin(1)) for query in queries.split(1)]


def pooled(features: np.ndarray) -> torch.Tensor:
    """Average an item's features, S x A or S x A x B, over a coarse grid: a vector of the same size for any S."""
    steps = torch.from_numpy(features.astype(np.float32))
    steps = steps.reshape(len(steps), steps.size(1), -1)  # S x A x B
    size = (POOLED[0], min(POOLED[1], steps.size(1)), min(POOLED[2], steps.size(2)))
    return F.adaptive_avg_pool3d(steps.unsqueeze(0), size).flatten()
