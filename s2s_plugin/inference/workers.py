"""How many processes decode in parallel on a CPU, with one thread each.

A search is many small steps. Threads wait for each other in each of them; processes that decode different sentences do
not wait at all.
"""

from __future__ import annotations

import torch

from s2s_plugin.errors import UserError

ITEMS_PER_WORKER = 100  # with fewer, starting a process takes longer than it saves
MAX_AUTO_WORKERS = 8  # each has a model of its own


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
