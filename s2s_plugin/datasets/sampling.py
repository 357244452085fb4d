"""Subword regularisation: the same text in other subwords every epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sentencepiece
import torch
from torch import Tensor


class SampledSubwords(Sequence):
    """Texts of a :class:`PairDataset`, cut anew each time they are read (Kudo 2018; for BPE, Provilkov et al. 2020).

    Args:
        texts: item i is a tensor of ids in ``pieces``, with </s>; has ``sizes``.
        pieces: SentencePiece model, unigram or BPE.
        alpha: of a unigram model the smoothing, less is more varied; of BPE the share of merges that is left out.
        seed: with the epoch and the item it determines the cut.
    """

    def __init__(
        self, texts: Sequence[Tensor], pieces: sentencepiece.SentencePieceProcessor, alpha: float, seed: int = 1
    ):
        self.texts, self.pieces, self.alpha = texts, pieces, alpha
        self.seed, self.epoch = seed, 1

    @property
    def sizes(self) -> np.ndarray:
        """Symbols of each text as it was cut once; those of the batches vary about them."""
        return self.texts.sizes  # type: ignore[attr-defined]

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> Tensor:  # type: ignore[override]
        ids = self.texts[index]
        if ids.eq(self.pieces.unk_id()).any():  # its letters are not known any more
            return ids
        draw = np.random.default_rng((self.seed, self.epoch, index))
        sentencepiece.set_random_generator_seed(int(draw.integers(2**32)))
        text = self.pieces.decode(ids[:-1].tolist())
        cut = self.pieces.encode(text, enable_sampling=True, nbest_size=-1, alpha=self.alpha)
        return torch.tensor([*cut, self.pieces.eos_id()])

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
