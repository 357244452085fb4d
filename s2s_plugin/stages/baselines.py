"""Trivial baselines: what a score means is seen beside them.

An app names those that make sense for it in ``baselines``.
"""

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
from s2s_plugin.datasets.manifest import MODALITIES, read_manifest
from s2s_plugin.errors import UserError
from s2s_plugin.tasks.loading import read_source_meta
from s2s_plugin.text.matching import TfidfIndex, words
from s2s_plugin.utils.io import read_lines
from s2s_plugin.utils.progress import Progress

LABELS = {
    "copy": "copy of the source",
    "lead": "lead words",
    "neighbour": "nearest neighbour",
    "frequent": "most frequent text",
}
TEXT = ("copy", "lead", "neighbour")  # what a text source can have
SIGNAL = ("neighbour", "frequent")
POOLED = (8, 16, 8)  # at most: stretches of time, and cells of what is left of a step's two dimensions


def check_baselines(names: Sequence[str], source: str) -> None:
    """
    Raises:
        UserError: a name is none, or not one for this kind of source (a language, or audio, video or image).
    """
    known = SIGNAL if source in MODALITIES else TEXT
    for name in names:
        if name not in known:
            kind = source if source in MODALITIES else "text"
            raise UserError(f"baselines has {name}; for sources of {kind} there are: {', '.join(known)}")


def baselines(
    names: Sequence[str], data: Path, source: str, target: str, subset: str, rows: list[dict]
) -> dict[str, list[str]]:
    """Hypotheses of each baseline, by its label in reports; one more are the targets that sources bring, if they do.

    Args:
        names: of the app's baselines, see :func:`check_baselines`.
        data: prepared folder.
        source: language, or audio, video or image.
        target: language.
        subset: split that ``rows`` are outputs of.
    """
    if source in MODALITIES:
        found = _of_signals(data, subset, len(rows)) if names else {}
        return {LABELS[name]: found[name] for name in names}
    sources, targets = [], []
    if set(names) - {"copy"}:
        sources, targets = (read_lines(data / "text" / f"train.{language}") for language in (source, target))
    found = {LABELS[name]: _of_text(name, sources, targets, rows) for name in names}
    if "retrieved" in rows[0]:
        found["retrieved target"] = [row["retrieved"] for row in rows]
    return found


# ------------------------------------------------------------------ text


def _of_text(name: str, sources: list[str], targets: list[str], rows: list[dict]) -> list[str]:
    """
    Args:
        name: copy, lead or neighbour.
        sources: of training, with their tags where there are several directions.
        targets: of training.
        rows: outputs, whose sources have no tags.
    """
    asked = [row["source"] for row in rows]
    if name == "copy":
        return asked
    if name == "lead":
        return lead_words(asked, targets)
    if "direction" not in rows[0]:
        return [targets[number] for number in nearest_texts(sources, asked)]
    found = [""] * len(rows)
    for direction in {row["direction"] for row in rows}:
        tag = directions.tag(direction.partition("-")[2])
        known = [number for number, text in enumerate(sources) if text.startswith(f"{tag} ")]
        places = [place for place, row in enumerate(rows) if row["direction"] == direction]
        nearest = nearest_texts([directions.untagged(sources[number]) for number in known], [asked[n] for n in places])
        for place, number in zip(places, nearest, strict=True):
            found[place] = targets[known[number]]
    return found


def lead_words(sources: Sequence[str], targets: Sequence[str]) -> list[str]:
    """The first words of each source, as many as ``targets`` have on average."""
    count = max(1, round(fmean(len(text.split()) for text in targets)))
    return [" ".join(text.split()[:count]) for text in sources]


def nearest_texts(train: Sequence[str], test: Sequence[str]) -> list[int]:
    """For each text of ``test`` the number of that of ``train`` with the most similar words (:class:`TfidfIndex`)."""
    index = TfidfIndex(train, words)
    return [index.nearest(text) for text in Progress(test, "      neighbours", unit="text")]


# ------------------------------------------------------------------ signals


def _of_signals(data: Path, subset: str, count: int) -> dict[str, list[str]]:
    _, train = read_manifest(data / "train.tsv")
    texts = Counter(text for item in train for text in item.texts)
    features = data / read_source_meta(data)["features"]
    nearest = nearest_items(PackedFeatures(features / "train"), PackedFeatures(features / subset))
    return {
        "frequent": [texts.most_common(1)[0][0]] * count,
        "neighbour": [train[number].texts[0] for number in nearest],
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
