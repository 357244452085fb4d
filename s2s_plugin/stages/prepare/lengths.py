"""How long texts and recordings may be: the options that limit it, what to set for longer ones, what a batch takes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from omegaconf import DictConfig

from s2s_plugin.corpora.media import steps_per_second
from s2s_plugin.datasets.manifest import MODALITIES
from s2s_plugin.datasets.pair import PairDataset
from s2s_plugin.errors import UserError

SKIP = "data.on_bad_item=skip"
LARGE = 2000  # megabytes of a batch


def check_lengths(cfg: DictConfig, source: int, target: int) -> None:
    """Raise UserError, with what to set, if batches cannot hold these lengths, ``</s>`` included."""
    exceeded, modality = _exceeded(cfg, source, target), cfg.task.source_lang
    if not exceeded:
        return
    fit = min(limit for _, limit, _ in exceeded)
    ways = [remedies(cfg, source, target)]
    if modality in ("audio", "video") and source > fit:
        ways.append(f"leave out longer ones by {modality}.max_seconds={fit / steps_per_second(cfg):g} {SKIP}")
    elif target > fit or modality not in MODALITIES:
        ways.append(f"leave out longer ones by data.max_length={fit - 1} {SKIP}")
    rules = ", ".join(f"{key} must be at least {length}, got {limit}" for key, limit, length in exceeded)
    raise UserError(f"{rules}, for the longest source ({source:,} steps) and target ({target:,}): {', or '.join(ways)}")


def remedies(cfg: DictConfig, source: int, target: int, max_length: int | None = None) -> str:
    """Return what to set, perhaps with another ``data.max_length``, to use these lengths, ``</s>`` included."""
    first = [] if max_length is None else [f"data.max_length={max_length}"]
    exceeded = _exceeded(cfg, source, target)
    ways = ["set " + " ".join([*first, *(f"{key}={length}" for key, _, length in exceeded)])]
    if exceeded and not _exceeded(cfg, 0, target) and cfg.task.source_lang not in MODALITIES:
        beginning = ["task.truncate_source=true", f"task.max_source_positions={min(limit for _, limit, _ in exceeded)}"]
        ways.append("read the beginning of long sources by " + " ".join([*first, *beginning]))
    return ", or ".join(ways)


def _exceeded(cfg: DictConfig, source: int, target: int) -> list[tuple[str, int, int]]:
    """Return the options that are too low for these lengths: key, value and what it must be."""
    if cfg.task.truncate_source:
        source = min(source, cfg.task.max_source_positions)
    positions = -(-source // (1 + cfg.model.get("encoder_factors", 0)))
    needed = (
        ("task.max_source_positions", cfg.task.max_source_positions, source),
        ("task.max_target_positions", cfg.task.max_target_positions, target),
        ("dataset.max_tokens", cfg.dataset.max_tokens, max(positions, target)),
    )
    return [each for each in needed if each[1] is not None and each[1] < each[2]]


def longest_up_to(lengths: Iterable[np.ndarray], limit: int) -> tuple[int, int]:
    """Return the longest source and target, with ``</s>``, of pairs N x 2 whose sides have at most ``limit`` tokens."""
    pairs = np.concatenate([each.reshape(-1, 2) for each in lengths])
    source, target = (pairs[(pairs <= limit).all(1)] + 1).max(0, initial=0).tolist()
    return source, target


def check_validation(cfg: DictConfig, subset: str, dataset: PairDataset) -> None:
    """Raise UserError if a validation batch cannot hold the longest pair of its set."""
    limit, longest = cfg.dataset.max_tokens_valid, int(dataset.num_tokens_vec(np.arange(len(dataset))).max())
    if limit is not None and limit < longest:
        raise UserError(
            f"dataset.max_tokens_valid must be at least {longest}, the longest side in {subset}, got {limit}"
        )


def largest_batch(cfg: DictConfig, dataset: PairDataset, vocabulary: int) -> str:
    """Return how large the largest training batch is, and about how much memory a step takes for it, in words.

    The factors are measured: copies of logits, energies and states that a step keeps for its gradients.
    """
    order, sizes = dataset.ordered_indices(), np.asarray(dataset.sizes)
    batches = dataset.batch_by_size(order, cfg.dataset.max_tokens, cfg.dataset.batch_size)
    shapes = np.asarray([(len(batch), *sizes[batch].max(0)) for batch in batches])
    known = cfg.model._name == "s2s" and cfg.task.source_lang not in MODALITIES
    floats = batch_floats(cfg.model, vocabulary, *shapes.T) if known else shapes.prod(1)
    items, source, target = shapes[floats.argmax()]
    text = f"largest batch: {items:,} x {source:,} source and {target:,} target steps"
    if not known:
        return text
    megabytes = 4e-6 * floats.max()
    text += f", about {megabytes / 1000:.1f} GB" if megabytes >= 1000 else f", about {megabytes:.0f} MB"
    return f"{text}; dataset.max_tokens and data.max_length bound it" if megabytes >= LARGE else text


def batch_floats(
    model: DictConfig, vocabulary: int, items: np.ndarray, source: np.ndarray, target: np.ndarray
) -> np.ndarray:
    """Return about how many floats a training step keeps for batches of a text model."""
    has_history = model.attention == "location" or model.coverage != "none"
    additive = model.attention in ("additive", "normalized", "location")
    energies = 4 + (model.attention_size * (4 if has_history else 3) if additive else 0)
    logits = 0 if model.adaptive_cutoffs else vocabulary * (13.0 if model.pointer else 3.5)
    states = 16 * (source * model.encoder_hidden_size + target * model.decoder_hidden_size)
    return items * (target * logits + target * source * energies + states)
