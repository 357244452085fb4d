"""The beginning of long texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class TruncatedTexts(Sequence):
    """Texts of a :class:`PairDataset`, at most ``longest`` ids of each, the last of which stays </s>.

    Args:
        texts: item i is a tensor of ids with </s>.
        sizes: number of ids of each.
        longest: at most so many are read.
        group: ids of a token, itself and its factors, which stay together.
    """

    def __init__(self, texts: Sequence[Tensor], sizes: np.ndarray, longest: int, group: int = 1):
        self.texts = texts
        self.longest = (longest - 1) // group * group + 1
        self.sizes = np.minimum(sizes, self.longest)

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> Tensor:  # type: ignore[override]
        ids = self.texts[index]
        return ids if len(ids) <= self.longest else torch.cat((ids[: self.longest - 1], ids[-1:]))
