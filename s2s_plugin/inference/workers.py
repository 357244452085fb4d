"""How many processes decode in parallel on a CPU, with one thread each.

A search is many small steps. Threads wait for each other in each of them; processes that decode different sentences do
not wait at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from s2s_plugin.errors import UserError

ITEMS_PER_WORKER = 100  # with fewer, starting a process takes longer than it saves
BATCHES_PER_WORKER = 4  # so that all end at about the same time
MAX_AUTO_WORKERS = 8  # each has a model of its own


class Batch(NamedTuple):
    """A batch on its way to a worker; tensors would travel as open files."""

    numbers: list[int]  # of the sources, which seed sampling
    sources: list[np.ndarray]
    constraints: np.ndarray | None  # as fairseq packs them
    prefixes: list[np.ndarray] | None
    nbest: int | None  # hypotheses of each; None: all


def resolve_workers(requested: int, items: int, cpu: bool) -> int:
    """Return the number of worker processes for ``items`` items; for 0 ``requested``, as many as are worth starting.

    Raises:
        UserError: ``requested`` is negative, or more than 1 on a GPU.
    """
    if requested < 0 or (requested > 1 and not cpu):
        raise UserError(f"workers must be {'at least 0' if cpu else '0 or 1 on a GPU'}, got {requested}")
    if requested or not cpu:
        return max(1, min(requested, items))
    return max(1, min(torch.get_num_threads(), MAX_AUTO_WORKERS, items // ITEMS_PER_WORKER))


def batches(lengths: Sequence[int], max_tokens: int, workers: int = 1) -> list[list[int]]:
    """Group sources into batches of similar lengths, longest first, and return their indices.

    A batch has at most ``max_tokens`` steps, padding included, but at least one source. With several workers each gets
    ``BATCHES_PER_WORKER`` batches or more.
    """
    max_size = len(lengths) if workers == 1 else max(1, len(lengths) // (BATCHES_PER_WORKER * workers))
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if groups and len(groups[-1]) < max_size and (len(groups[-1]) + 1) * lengths[groups[-1][0]] <= max_tokens:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups
