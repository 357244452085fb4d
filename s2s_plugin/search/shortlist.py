"""Vocabulary selection: search among likely translations of the source tokens (Jean et al. 2015, section 3.2).

The candidates of each source token are learned from the training pairs by IBM model 1 (Brown et al. 1993).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from s2s_plugin.models.seq2seq import Seq2SeqModel
from s2s_plugin.search.precision import output_rows
from s2s_plugin.search.state import NEG_INF, Collaborator
from s2s_plugin.utils.checkpoint import load_plain, save_checkpoint

NULL = 0  # stands for no source word; fairseq's <s>, which no source contains
FREQUENT = 100  # target tokens that every sentence may contain
MAX_PAIRS = 20_000_000  # source-target token pairs to learn from
MAX_CANDIDATES = 100  # of a source token in the file


class Selection(Collaborator):
    """The M tokens that a batch of n sentences may contain, and the models' generators for these alone.

    ``ids`` ascend, so that the special tokens keep their places; ``bias``, n x 1 x M, is -inf where a sentence's own
    shortlist lacks the token.
    """

    per_sentence = ("bias",)

    def __init__(self, ids: Tensor, bias: Tensor, models: list[Seq2SeqModel]):
        self.ids, self.bias = ids, bias
        self.generators = [self._restrict(model.decoder.generator) for model in models]

    def _restrict(self, generator: Any) -> Callable[..., Tensor]:
        layers = nn.Sequential(generator.project, output_rows(generator.output, self.ids))
        return lambda features, *_: (
            layers(features).float().unflatten(0, (len(self.bias), -1)).add_(self.bias).flatten(0, 1)
        )


class Shortlist:
    """Target candidates of each source token, of which the first ``count`` are used.

    ``candidates`` are source tokens x MAX_CANDIDATES ids, the most likely first, 0 where there are no more;
    ``vocabulary`` is the number of target tokens.
    """

    def __init__(self, candidates: Tensor, count: int, vocabulary: int):
        self.candidates, self.vocabulary = candidates[:, :count].long(), vocabulary
        frequent = torch.arange(min(vocabulary, 4 + FREQUENT))  # ids are sorted by frequency
        self.always = torch.cat((frequent, self.candidates[NULL]))

    def allowed(self, source: Tensor) -> Tensor:
        """Return a B x V mask of the tokens that sources B x S allow."""
        allowed = torch.zeros(len(source), self.vocabulary, dtype=torch.bool, device=source.device)
        allowed.scatter_(1, self.candidates.to(source.device)[source].flatten(1), True)
        allowed[:, self.always] = True
        return allowed

    def select(self, source: Tensor, prefix: Tensor | None, models: list[Seq2SeqModel]) -> Selection:
        """Return what sources B x S and forced ids B x P allow."""
        allowed = self.allowed(source)
        if prefix is not None:
            allowed.scatter_(1, prefix, True)
        ids = allowed.any(0).nonzero().squeeze(1)
        bias = torch.zeros(len(source), 1, len(ids), device=source.device)
        return Selection(ids, bias.masked_fill_(~allowed[:, ids].unsqueeze(1), NEG_INF), models)

    def save(self, path: Path) -> None:
        save_checkpoint({"candidates": self.candidates.int(), "vocabulary": self.vocabulary}, path)

    @classmethod
    def load(cls, path: Path, count: int) -> Shortlist:
        """Read a file, ``count`` candidates of each token."""
        state = load_plain(path)
        return cls(state["candidates"], count, state["vocabulary"])


def train_ibm1(pairs: Iterable[tuple[np.ndarray, np.ndarray]], sizes: tuple[int, int], rounds: int = 5) -> Shortlist:
    """Return the targets with the highest t(y | x) for each source token x, after some rounds of EM.

    ``pairs`` are the ids of sentences without padding, ``sizes`` the numbers of source and target tokens.
    """
    codes, lengths, num_pairs = [], [], 0
    for source, target in pairs:
        with_null = np.append(source, NULL).astype(np.int64)
        codes.append((with_null[None, :] * sizes[1] + target[:, None]).ravel())
        lengths.append(np.full(len(target), len(with_null)))
        num_pairs += codes[-1].size
        if num_pairs > MAX_PAIRS:
            break
    types, places = np.unique(np.concatenate(codes), return_inverse=True)  # distinct pairs of tokens
    sources, targets = types // sizes[1], types % sizes[1]
    group = np.concatenate(lengths)  # number of source tokens that may have produced each target token
    starts = np.concatenate(([0], group.cumsum()[:-1]))
    probs = np.ones(len(types))
    for _ in range(rounds):
        share = probs[places]
        share /= np.add.reduceat(share, starts).repeat(group)
        counts = np.bincount(places, share, len(types))
        probs = counts / np.bincount(sources, counts, sizes[0])[sources]
    order = np.lexsort((-probs, sources))
    rank = np.arange(len(order)) - np.searchsorted(sources[order], sources[order])
    order, rank = order[rank < MAX_CANDIDATES], rank[rank < MAX_CANDIDATES]
    candidates = np.zeros((sizes[0], MAX_CANDIDATES), dtype=np.int64)
    candidates[sources[order], rank] = targets[order]
    return Shortlist(torch.from_numpy(candidates), MAX_CANDIDATES, sizes[1])


def miss_rate(shortlist: Shortlist, pairs: Iterable[tuple[Tensor, Tensor]]) -> tuple[float, float]:
    """Return the share of target tokens that a sentence's own shortlist lacks, and the mean size of the lists."""
    counts = []
    for source, target in pairs:
        allowed = shortlist.allowed(source.unsqueeze(0))[0]
        counts.append((int((~allowed[target]).sum()), len(target), int(allowed.sum())))
    missed, total, sizes = map(sum, zip(*counts, strict=True))
    return missed / total, sizes / len(counts)
