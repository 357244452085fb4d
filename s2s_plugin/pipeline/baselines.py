"""Trivial baselines: what a score means is seen beside them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from s2s_plugin.datasets.features import PackedFeatures
from s2s_plugin.datasets.manifest import MODALITIES, read_manifest
from s2s_plugin.progress import Progress
from s2s_plugin.tasks.seq2seq import read_source

POOLED = (8, 16, 8)  # at most: stretches of time, and cells of what is left of a step's two dimensions


def baselines(data: Path, source: str, subset: str, rows: list[dict]) -> dict[str, list[str]]:
    """Hypotheses of each baseline that makes sense for the source, by its name.

    Args:
        data: prepared folder.
        source: language, or audio, video or image.
        subset: split that ``rows`` are outputs of.
    """
    if source not in MODALITIES:
        return {"copy of the source": [row["source"] for row in rows]}
    _, train = read_manifest(data / "train.tsv")
    texts = Counter(text for item in train for text in item.texts)
    features = data / read_source(data)["features"]
    nearest = nearest_items(PackedFeatures(features / "train"), PackedFeatures(features / subset))
    return {
        "most frequent text": [texts.most_common(1)[0][0]] * len(rows),
        "nearest neighbour": [train[number].texts[0] for number in nearest],
    }


def nearest_items(train: PackedFeatures, test: PackedFeatures) -> list[int]:
    """For each item of ``test`` that of ``train`` with the most similar pooled features (Euclidean distance)."""
    known = torch.stack([pooled(train[i]) for i in Progress(range(len(train)), "      neighbours", unit="item")])
    mean, spread = known.mean(0), known.std(0).clamp(min=1e-6)
    known = (known - mean) / spread
    asked = torch.stack([(pooled(test[i]) - mean) / spread for i in range(len(test))])
    return [int(torch.cdist(part, known).argmin(1)) for part in asked.split(1)]


def pooled(features: np.ndarray) -> torch.Tensor:
    """An item's features, S x A or S x A x B, averaged over a coarse grid: a vector of the same size for any S."""
    steps = torch.from_numpy(features.astype(np.float32))
    steps = steps.reshape(len(steps), steps.size(1), -1)  # S x A x B
    size = (POOLED[0], min(POOLED[1], steps.size(1)), min(POOLED[2], steps.size(2)))
    return F.adaptive_avg_pool3d(steps.unsqueeze(0), size).flatten()
