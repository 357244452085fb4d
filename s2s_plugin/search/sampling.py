"""Sampling: each of K hypotheses draws its next symbol, none is compared with another."""

from __future__ import annotations

import zlib

import torch
from torch import Tensor

from s2s_plugin.search.options import BeamOptions
from s2s_plugin.search.rules import FORCED_EOS_LOGPROB, NEG_INF


class Sampler:
    """Draws symbols for the K hypotheses of n sentences.

    What a sentence gets follows from the seed, its source and its number in the corpus, whatever its batch.

    Args:
        options: see :class:`BeamOptions`.
        sample: fairseq's batch of n sentences.
        limit: n, the longest outputs, without </s>.
        eos: id that ends a hypothesis.
    """

    def __init__(self, options: BeamOptions, sample: dict, limit: Tensor, eos: int):
        self.options, self.eos = options, eos
        source, lengths = sample["net_input"]["src_tokens"], sample["net_input"]["src_lengths"].tolist()
        numbers = sample["id"].tolist() if "id" in sample else [0] * len(source)
        draws = []
        for row, number, length, longest in zip(source, numbers, lengths, limit.tolist(), strict=True):
            content = row[:length].cpu().double().numpy().tobytes()
            generator = torch.Generator().manual_seed(zlib.crc32(content + f"{number} {options.seed}".encode()))
            draws.append(torch.rand(longest + 1, options.beam, generator=generator))
        self.draws = torch.nn.utils.rnn.pad_sequence(draws, batch_first=True).to(limit.device)  # n x T x K, below 1

    def choose(self, scores: Tensor, total: Tensor, end: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """The next symbol of each hypothesis.

        Args:
            scores: n x K x V log-probabilities, -inf where forbidden.
            total: n x K so far; -inf marks what has ended.
            end: n x K log-probabilities of </s>, had nothing been forbidden: it is drawn where nothing else may follow.
            step: symbols so far.

        Returns:
            totals, parents (each its own) and tokens, n x K each.
        """
        stuck = scores.amax(2).eq(NEG_INF)
        scores[..., self.eos] = torch.where(stuck, end.clamp(min=FORCED_EOS_LOGPROB), scores[..., self.eos])
        reached = self._shares(scores).double().cumsum(2)  # n x K x V: float32 would lose the rare symbols
        point = self.draws[:, step].unsqueeze(2) * reached[..., -1:]
        token = torch.searchsorted(reached, point, right=True)  # n x K x 1
        total = total + scores.gather(2, token).squeeze(2)
        parent = torch.arange(total.size(1), device=total.device).expand_as(total)
        return total, parent, token.squeeze(2)

    def keep(self, sentences: Tensor) -> None:
        self.draws = self.draws[sentences]

    def _shares(self, scores: Tensor) -> Tensor:
        """Probabilities of what may be drawn, n x K x V; each truncation is of what the one before has left."""
        shares = scores.softmax(2)
        if 0 < self.options.sampling_topk < scores.size(2):
            least = shares.topk(self.options.sampling_topk, 2).values[..., -1:]
            shares = _normalized(shares.masked_fill(shares < least, 0))
        if 0 < self.options.sampling_topp < 1:
            shares = _normalized(shares * smallest_set(-shares, shares, self.options.sampling_topp))
        if 0 < self.options.typical_sampling < 1:
            entropy = torch.special.entr(shares).sum(2, keepdim=True)
            rank = (-shares.log() - entropy).abs()
            shares = _normalized(shares * smallest_set(rank, shares, self.options.typical_sampling))
        return shares


def _normalized(shares: Tensor) -> Tensor:
    return shares / shares.sum(2, keepdim=True)


def smallest_set(rank: Tensor, shares: Tensor, mass: float) -> Tensor:
    """The fewest symbols (... x V bools), those of the lowest ``rank`` first, whose shares reach ``mass`` together.

    By how likely they are: nucleus sampling (Holtzman et al. 2020). By how far their surprise is from the entropy:
    locally typical sampling (Meister et al. 2022).
    """
    order = rank.argsort(dim=2, stable=True)
    sorted_shares = shares.gather(2, order)
    before = sorted_shares.cumsum(2) - sorted_shares
    return torch.zeros_like(shares, dtype=torch.bool).scatter_(2, order, before < mass)
