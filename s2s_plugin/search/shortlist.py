"""Vocabulary selection: a sentence's output is looked for among the symbols that its source symbols may become.

The output layer and the selection of the best symbols then cost a fraction (Jean et al. 2015, section 3.2; L'Hostis et
al. 2016). What each source symbol may become is learnt from the training pairs by IBM model 1 (Brown et al. 1993).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from s2s_plugin.errors import UserError
from s2s_plugin.models.generator import Generator
from s2s_plugin.models.seq2seq import Seq2SeqModel
from s2s_plugin.search.precision import rows
from s2s_plugin.utils.checkpoint import load_checkpoint, save_checkpoint

NULL = 0  # stands for no source word; fairseq's <s>, which no source has
FREQUENT = 100  # target symbols that every sentence may have
LARGEST = 20_000_000  # source-target pairs within sentences to learn from
KEPT = 100  # candidates of a source symbol in the file


class Selection:
    """The symbols a batch may write, and the models' output layers for these alone.

    Args:
        ids: M, ascending; the first four are the dictionary's special ones, at their own places.
        bias: B x 1 x M, -inf where a sentence by itself would not have the symbol.
        models: whose generators are plain ones.
    """

    def __init__(self, ids: Tensor, bias: Tensor, models: list[Seq2SeqModel]):
        self.ids, self.bias = ids, bias
        self.outputs: list[Callable[[Tensor], Tensor]] = []
        for model in models:
            generator = model.decoder.generator
            assert isinstance(generator, Generator)
            self.outputs.append(nn.Sequential(generator.project, rows(generator.output, ids)))

    def score(self, model: int, features: Tensor) -> Tensor:
        """Logits N x M of a model's features N x H; N = B * K."""
        logits = self.outputs[model](features).float()
        return logits.unflatten(0, (len(self.bias), -1)).add_(self.bias).flatten(0, 1)

    def keep(self, sentences: Tensor) -> None:
        self.bias = self.bias[sentences]


class Shortlist:
    """Target symbols for each source symbol.

    Args:
        candidates: source symbols x ``KEPT`` target ids, the likeliest first; 0 where there are no more.
        count: how many of them to take.
        symbols: number of target symbols.
    """

    def __init__(self, candidates: Tensor, count: int, symbols: int):
        self.candidates = candidates[:, :count].long()
        frequent = torch.arange(min(symbols, 4 + FREQUENT))  # ids are sorted by frequency
        self.always = torch.cat((frequent, self.candidates[NULL]))
        self.symbols = symbols

    def allowed(self, source: Tensor) -> Tensor:
        """B x symbols bools for sources B x S."""
        allowed = torch.zeros(len(source), self.symbols, dtype=torch.bool, device=source.device)
        allowed.scatter_(1, self.candidates.to(source.device)[source].flatten(1), True)
        allowed[:, self.always] = True
        return allowed

    def select(self, source: Tensor, prefix: Tensor | None, models: list[Seq2SeqModel]) -> Selection:
        """For sources B x S; what is forced, B x P ids, is selected too."""
        allowed = self.allowed(source)
        if prefix is not None:
            allowed.scatter_(1, prefix, True)
        ids = allowed.any(0).nonzero().squeeze(1)
        bias = torch.zeros(len(source), 1, len(ids), device=source.device)
        bias.masked_fill_(~allowed[:, ids].unsqueeze(1), float("-inf"))
        return Selection(ids, bias, models)

    def save(self, path: Path) -> None:
        save_checkpoint({"candidates": self.candidates.int(), "symbols": self.symbols}, path)

    @classmethod
    def load(cls, path: Path, count: int) -> Shortlist:
        """
        Raises:
            UserError: there is no such file, or a broken one.
        """
        if not path.is_file():
            raise UserError(f"{path} is missing: make it with s2s shortlist, or set task.shortlist=0")
        state = load_checkpoint(path)
        return cls(state["candidates"], count, state["symbols"])


def learn(pairs: Iterable[tuple[np.ndarray, np.ndarray]], sizes: tuple[int, int], rounds: int = 5) -> Shortlist:
    """From sentences of source and target ids, the likeliest targets t(y | x) of each source symbol by IBM model 1.

    Args:
        pairs: of ids, without padding.
        sizes: numbers of source and target symbols.
        rounds: of expectation and maximisation.
    """
    codes, lengths, seen = [], [], 0
    for source, target in pairs:
        with_null = np.append(source, NULL).astype(np.int64)
        codes.append((with_null[None, :] * sizes[1] + target[:, None]).ravel())
        lengths.append(np.full(len(target), len(with_null)))
        seen += codes[-1].size
        if seen > LARGEST:
            break
    kinds, places = np.unique(np.concatenate(codes), return_inverse=True)  # pairs of symbols that meet
    sources, targets = kinds // sizes[1], kinds % sizes[1]
    group = np.concatenate(lengths)  # source symbols that may have made each target symbol
    starts = np.concatenate(([0], group.cumsum()[:-1]))
    probability = np.ones(len(kinds))
    for _ in range(rounds):
        share = probability[places]
        share /= np.add.reduceat(share, starts).repeat(group)
        counts = np.bincount(places, share, len(kinds))
        probability = counts / np.bincount(sources, counts, sizes[0])[sources]
    order = np.lexsort((-probability, sources))
    rank = np.arange(len(order)) - np.searchsorted(sources[order], sources[order])
    order, rank = order[rank < KEPT], rank[rank < KEPT]
    candidates = np.zeros((sizes[0], KEPT), dtype=np.int64)
    candidates[sources[order], rank] = targets[order]
    return Shortlist(torch.from_numpy(candidates), KEPT, sizes[1])


def miss_rate(shortlist: Shortlist, pairs: Iterable[tuple[Tensor, Tensor]]) -> tuple[float, float]:
    """Share of target symbols that a sentence's own shortlist lacks, and the mean length of the lists."""
    missed = total = sizes = sentences = 0
    for source, target in pairs:
        allowed = shortlist.allowed(source.unsqueeze(0))[0]
        missed += int((~allowed[target]).sum())
        total, sizes, sentences = total + len(target), sizes + int(allowed.sum()), sentences + 1
    return missed / total, sizes / sentences
