"""What an older fairseq checkpoint needs to pass torch's safe loader (``weights_only=True``).

fairseq used to pickle its command line (``argparse.Namespace``) and numpy numbers from its meters. Both are plain
data: allowing them by name keeps the loader's refusal of everything else. Our own checkpoints need none of it.
"""

import argparse

import numpy as np
import torch

torch.serialization.add_safe_globals(
    [
        argparse.Namespace,
        np.ndarray,
        np.dtype,
        np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
        np._core.multiarray.scalar,  # type: ignore[attr-defined]
        np.dtypes.Int64DType,
        np.dtypes.Float64DType,
    ]
)
