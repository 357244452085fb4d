"""Views of a sequence dataset: resampled subwords, truncated texts, the text behind the ids."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from fairseq.data import Dictionary
from sentencepiece import SentencePieceProcessor, set_random_generator_seed
from torch import Tensor

from s2s_plugin.errors import UserError
from s2s_plugin.utils.digests import check_digest

logger = logging.getLogger(__name__)


class SampledSubwords(Sequence):
    """Texts split into other subwords each epoch (Kudo 2018; for BPE, Provilkov et al. 2020).

    Args:
        texts: item i is a tensor of ids in ``pieces``, with </s>; has ``sizes``.
        pieces: SentencePiece model, unigram or BPE.
        alpha: smoothing of a unigram model, lower is more varied; dropout of BPE merges.
        seed: determines the split, together with epoch and item.
    """

    def __init__(self, texts: Sequence[Tensor], pieces: SentencePieceProcessor, alpha: float, seed: int = 1):
        self.texts, self.pieces, self.alpha = texts, pieces, alpha
        self.seed, self.epoch = seed, 1
        self.sizes: np.ndarray = texts.sizes  # type: ignore[attr-defined]  # of the stored texts; samples vary

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> Tensor:  # type: ignore[override]
        ids = self.texts[index]
        if ids.eq(self.pieces.unk_id()).any():  # the letters of <unk> are lost
            return ids
        rng = np.random.default_rng((self.seed, self.epoch, index))
        set_random_generator_seed(int(rng.integers(2**32)))
        text = self.pieces.decode(ids[:-1].tolist())
        sample = self.pieces.encode(text, enable_sampling=True, nbest_size=-1, alpha=self.alpha)
        return torch.tensor([*sample, self.pieces.eos_id()])

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch


class TruncatedTexts(Sequence):
    """The first ``max_size`` ids of each text; the last one stays </s>.

    ``sizes`` has the number of ids of each; ``group``: ids of a token and its factors, which are not separated.
    """

    def __init__(self, texts: Sequence[Tensor], sizes: np.ndarray, max_size: int, group: int = 1):
        self.texts = texts
        self.max_size = (max_size - 1) // group * group + 1
        self.sizes = np.minimum(sizes, self.max_size)

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> Tensor:  # type: ignore[override]
        ids = self.texts[index]
        return ids if len(ids) <= self.max_size else torch.cat((ids[: self.max_size - 1], ids[-1:]))


@dataclass(eq=False)
class OriginalText:
    """Lines of one side of a split as tokens, by which fairseq replaces unknown words."""

    path: Path  # text file, one item per line; without it the binarized tokens are used
    encode: Callable[[str], str]  # maps a line of the file to tokens separated by spaces
    items: Sequence[Tensor]  # ids of each item
    dictionary: Dictionary  # of the ids
    group: int = 1  # ids of a token and its factors; only tokens are returned

    def get_original_text(self, index: int) -> str:
        line = self.dictionary.string(self.items[index]) if self.lines is None else self.encode(self.lines[index])
        return " ".join(line.split()[:: self.group])

    @cached_property
    def lines(self) -> list[str] | None:
        check_digest(self.path)
        if not self.path.is_file():
            logger.warning("%s: no such text; words outside the vocabulary stay <unk>", self.path)
            return None
        with self.path.open(encoding="utf-8") as file:
            lines = [line.rstrip("\n") for line in file]
        if len(lines) != len(self.items):
            raise UserError(f"{self.path}: expected {len(self.items):,} lines, as binarized, got {len(lines):,}")
        return lines
