"""In which format a CPU multiplies matrices faster."""

import time
from functools import cache

import torch

INSTRUCTIONS = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # of torch.cpu: whether a CPU has them
SHAPE = 256, 512, 1024  # of the product that is timed
ROUNDS = 5  # of which the quickest counts
CLEARLY = 0.8  # share of float32's time from which bf16 pays: what it reads is converted first


@cache
def cpu_multiplies_bf16() -> bool:
    """Whether bf16 is clearly the faster format here, timed once, in a few hundredths of a second.

    To have the instructions is not enough: among CPUs with them, products took 0.45 of float32's time on one and 1.5
    times as long on another, a Xeon that has AVX512-BF16 without AMX.
    """
    if not any(getattr(torch.cpu, name, lambda: False)() for name in INSTRUCTIONS):
        return False
    return _seconds(torch.bfloat16) < CLEARLY * _seconds(torch.float32)


def _seconds(dtype: torch.dtype) -> float:
    """What one product takes."""
    rows, inner, columns = SHAPE
    left, right = torch.ones(rows, inner, dtype=dtype), torch.ones(inner, columns, dtype=dtype)
    took = []
    for _ in range(1 + ROUNDS):  # once to begin with
        started = time.perf_counter()
        left @ right
        took.append(time.perf_counter() - started)
    return min(took[1:])
