"""oneDNN's kernels: compiled for each shape of a product or of an LSTM, about 1 MB each, and kept for the next time.

Batches have ever new shapes, so that a process which trains or serves would fill a gigabyte with the 1,024 kernels that
are kept by default.
"""

import os

KEPT = 128


def keep_few_kernels() -> None:
    """Keep ``KEPT`` kernels, unless the user has set another number; call it before the first product of a process."""
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(KEPT))
