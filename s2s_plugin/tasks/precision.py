"""Precision of matrix products in training."""

from functools import cache, partial
from timeit import timeit

import torch

CPU_FEATURES = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # functions of torch.cpu
SHAPE = 128, 512, 1024  # of the timed product
ROUNDS = 20  # the fastest counts
MIN_SPEEDUP = 0.8  # maximum ratio of bf16's time to float32's: its inputs have to be converted


def use_bf16(precision: str, device: torch.device) -> bool:
    """Return whether products are computed in bf16 while weights are float32, by ``--precision``."""
    return precision == "bf16" or (precision == "auto" and device.type == "cpu" and bf16_is_faster_on_cpu())


@cache
def bf16_is_faster_on_cpu() -> bool:
    """Return whether bf16 is clearly faster on this machine, timed once, in some hundredths of a second.

    A Xeon that has AVX512-BF16 without AMX took twice float32's time.
    """
    if not any(getattr(torch.cpu, name, lambda: False)() for name in CPU_FEATURES):
        return False
    seconds = time_products(torch.float32, torch.bfloat16)
    return seconds[torch.bfloat16] < MIN_SPEEDUP * seconds[torch.float32]


def time_products(*dtypes: torch.dtype) -> dict[torch.dtype, float]:
    """Return the seconds of a product in each dtype, interleaved and in one thread to reduce noise."""
    rows, inner, columns = SHAPE
    pairs = [(torch.ones(rows, inner, dtype=dtype), torch.ones(inner, columns, dtype=dtype)) for dtype in dtypes]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    seconds = [[timeit(partial(torch.matmul, *pair), number=1) for pair in pairs] for _ in range(ROUNDS)]
    torch.set_num_threads(threads)
    return dict(zip(dtypes, map(min, *seconds), strict=True))
