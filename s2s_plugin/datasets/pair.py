"""The dataset of pairs of a source sequence, of any modality, and a target sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from fairseq.data import Dictionary, FairseqDataset, data_utils
from torch import Tensor

from s2s_plugin.datasets.views import OriginalText


@dataclass(eq=False)
class PairDataset(FairseqDataset):
    """Sources S x ... (ids or features), each with a target T of ids that ends with </s>, or without one."""

    sources: Sequence[Tensor]
    source_sizes: np.ndarray  # source steps of each item
    source_padding: float  # value of the padding on the right
    targets: Sequence[Tensor] | None  # None for inference
    target_sizes: np.ndarray | None
    dictionary: Dictionary  # of the target
    shuffle: bool = False  # order items of equal length anew every epoch (training) instead of by index
    alignments: Sequence[Tensor] | None = None  # of each item s_1 t_1 s_2 t_2 ..., from fairseq-preprocess
    constraints: Tensor | None = None  # rows from fairseq's pack_constraints: what each output must contain
    texts: tuple[OriginalText | None, OriginalText | None] = (None, None)  # original source and target
    chosen: np.ndarray | None = None  # numbers of the items to iterate over; None: all
    source_group: int = 1  # source ids of a position: a token and its factors
    references: Sequence[Any] | None = None  # what outputs of each item are scored by, passed on in the batch as it is

    def __post_init__(self):
        self.source_sizes = np.asarray(self.source_sizes)
        if self.target_sizes is not None:
            self.target_sizes = np.asarray(self.target_sizes)
        self.src, self.tgt = self.texts  # names that fairseq looks for

    def __len__(self) -> int:
        return len(self.source_sizes)

    def __getitem__(self, index: int) -> dict:
        target = None if self.targets is None else self.targets[index]
        item = {"id": index, "source": self.sources[index], "target": target}
        return item if self.alignments is None else {**item, "alignment": self.alignments[index]}

    def collater(self, samples: list[dict]) -> dict:
        """Collate a batch as fairseq expects it, longest sources first, which its own LSTM requires.

        ``net_input`` has the three arguments of ``Seq2SeqModel.forward`` only.
        """
        if not samples:
            return {}
        samples = sorted(samples, key=lambda sample: -len(sample["source"]))
        lengths = torch.tensor([len(sample["source"]) for sample in samples])
        sources = [sample["source"] for sample in samples]
        padded = torch.nn.utils.rnn.pad_sequence(sources, batch_first=True, padding_value=self.source_padding)
        net_input = {"src_tokens": padded, "src_lengths": lengths}  # B x S x ...
        target, tokens = None, int(lengths.sum())
        if self.targets is not None:
            pad, eos = self.dictionary.pad(), self.dictionary.eos()
            values = [sample["target"] for sample in samples]
            target = data_utils.collate_tokens(values, pad)  # B x T
            net_input["prev_output_tokens"] = data_utils.collate_tokens(values, pad, eos, move_eos_to_beginning=True)
            tokens = sum(len(value) for value in values)
        batch: dict[str, Any] = {
            "id": torch.tensor([sample["id"] for sample in samples]),
            "nsentences": len(samples),
            "ntokens": tokens,
            "net_input": net_input,
            "target": target,
        }
        if self.references is not None:
            batch["references"] = [self.references[sample["id"]] for sample in samples]
        if self.constraints is not None:
            batch["constraints"] = self.constraints[batch["id"]]
        if self.alignments is not None:
            links = [sample["alignment"].view(-1, 2).flip(1).long() for sample in samples]  # target, source
            items = torch.arange(len(links)).repeat_interleave(torch.tensor([len(link) for link in links]))
            batch["alignments"] = torch.cat((items.unsqueeze(1), torch.cat(links)), 1)  # L x 3
        return batch

    def set_epoch(self, epoch: int) -> None:
        """Tell sources and targets that change from epoch to epoch."""
        for side in (self.sources, self.targets):
            if side is not None and hasattr(side, "set_epoch"):
                side.set_epoch(epoch)

    @property
    def sizes(self) -> np.ndarray:
        """Source and target steps, N x 2 (N without targets)."""
        if self.target_sizes is None:
            return self.source_sizes
        return np.stack((self.source_sizes, self.target_sizes), axis=1)

    def size(self, index: int):
        source = int(self.source_sizes[index])
        return source if self.target_sizes is None else (source, int(self.target_sizes[index]))

    def num_tokens(self, index: int) -> int:
        """Return the positions of the longer side, which ``--max-tokens`` counts; factors do not count."""
        return int(self.num_tokens_vec(np.asarray([index]))[0])

    def num_tokens_vec(self, indices: np.ndarray) -> np.ndarray:
        sizes = -(-self.source_sizes[indices] // self.source_group)
        return sizes if self.target_sizes is None else np.maximum(sizes, self.target_sizes[indices])

    def ordered_indices(self) -> np.ndarray:
        """Sort by source, then target length, so that a batch has items of similar length; shuffle ties."""
        order = np.arange(len(self)) if self.chosen is None else self.chosen
        if self.shuffle:
            order = np.random.permutation(order)  # noqa: NPY002 (fairseq seeds this generator for every epoch)
        if self.target_sizes is not None:
            order = order[self.target_sizes[order].argsort(kind="stable")]
        return order[self.source_sizes[order].argsort(kind="stable")]

    def filter_indices_by_size(self, indices: np.ndarray, max_sizes) -> tuple[np.ndarray, list[int]]:
        """Separate the indices that fit ``max_sizes`` (source, target) from the others."""
        sizes = self.source_sizes, self.target_sizes
        return data_utils.filter_paired_dataset_indices_by_size(*sizes, indices, max_sizes)

    @property
    def can_reuse_epoch_itr_across_epochs(self) -> bool:
        """Whether batches stay the same; False in training, so that a resumed run equals an uninterrupted one."""
        return not self.shuffle
