"""Signs that a run was too short to learn anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from s2s_plugin.datasets.pair import PairDataset
from s2s_plugin.report.log import Curves

MARGIN = 0.5  # bits per token by which a model that has learned something beats the frequencies of the tokens
MIN_ITEMS = 20  # outputs that are judged
MAX_COUNTED = 20_000  # training pairs whose tokens are counted
SAME = 0.5  # share of equal outputs that is too much
REMEDY = "a larger optimization.max_update (or optimization.max_epoch) continues this run"


def unigram_entropy(dataset: PairDataset) -> float:
    """Return the entropy of the training targets' tokens, with </s>, in bits: of at most :data:`MAX_COUNTED` pairs."""
    assert dataset.targets is not None
    count = min(len(dataset), MAX_COUNTED)
    tokens = np.concatenate([np.asarray(dataset.targets[number]) for number in range(count)])
    shares = np.bincount(tokens) / len(tokens)
    shares = shares[shares > 0]
    return round(float(-(shares * np.log2(shares)).sum()), 3)


def training_signs(options: Mapping[str, Any], result: Mapping[str, Any], curves: Curves) -> list[str]:
    """Return signs in a training: its config, ``trained.json`` and the curves of its log."""
    signs = []
    updates, warmup = result.get("updates", 0), (options.get("lr_scheduler") or {}).get("warmup_updates") or 0
    if 0 < updates <= warmup:
        signs.append(f"its {updates:,} updates end within the warm-up of lr_scheduler.warmup_updates={warmup}")
    losses = [value for curve in curves.valid.get("nll_loss", {}).values() for value in curve.values()]
    entropy = result.get("unigram_entropy")
    if losses and entropy is not None and min(losses) > entropy - MARGIN:
        signs.append(
            f"its validation cross entropy of {min(losses):.2f} bits per token is near the {entropy:.2f} of a "
            "model that knows only how frequent each token is"
        )
    return signs


def output_signs(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> list[str]:
    """Return signs in the outputs of a test set: most are the same although the references differ."""
    if len(hypotheses) < MIN_ITEMS:
        return []
    (text, count), *_ = Counter(hypotheses).most_common(1)
    (_, expected), *_ = Counter(each for texts in references for each in set(texts)).most_common(1) or [("", 0)]
    if count <= SAME * len(hypotheses) or expected > SAME / 2 * len(hypotheses):
        return []
    return [f"{count:,} of its {len(hypotheses):,} outputs are the same, {text[:40]!r}"]


def warning(signs: Sequence[str]) -> str:
    """Return one sentence about the signs, with the remedy; empty if there are none."""
    return f"too short to have learned much: {'; '.join(signs)}. Remedy: {REMEDY}." if signs else ""
