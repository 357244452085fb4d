"""In which format training multiplies matrices."""

import time
from functools import cache

import torch

INSTRUCTIONS = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # of torch.cpu: whether a CPU has them
SHAPE = 128, 512, 1024  # of the product that is timed
ROUNDS = 20  # of which the quickest counts
MIN_SPEEDUP = 0.8  # share of float32's time from which bf16 pays: what it reads is converted first


def in_bf16(precision: str, device: torch.device) -> bool:
    """Whether products are made in bf16 while weights are float32, by ``--precision``."""
    return precision == "bf16" or (precision == "auto" and device.type == "cpu" and cpu_multiplies_bf16())


@cache
def cpu_multiplies_bf16() -> bool:
    """Whether bf16 is clearly the faster format here, timed once, in some hundredths of a second.

    To have the instructions is not enough: among CPUs with them, products took half of float32's time on one and
    twice its time on another, a Xeon that has AVX512-BF16 without AMX.
    """
    if not any(getattr(torch.cpu, name, lambda: False)() for name in INSTRUCTIONS):
        return False
    took = seconds(torch.float32, torch.bfloat16)
    return took[torch.bfloat16] < MIN_SPEEDUP * took[torch.float32]


def seconds(*formats: torch.dtype) -> dict[torch.dtype, float]:
    """What a product takes in each format: by turns and in one thread, so that other work disturbs it least."""
    rows, inner, columns = SHAPE
    took: dict[torch.dtype, list[float]] = {dtype: [] for dtype in formats}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for _ in range(ROUNDS):
        for dtype, times in took.items():
            left, right = torch.ones(rows, inner, dtype=dtype), torch.ones(inner, columns, dtype=dtype)
            started = time.perf_counter()
            left @ right
            times.append(time.perf_counter() - started)
    torch.set_num_threads(threads)
    return {dtype: min(times) for dtype, times in took.items()}
