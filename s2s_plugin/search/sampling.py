"""Sampling: each of K hypotheses draws its next token independently."""

from __future__ import annotations

import zlib

import torch
from torch import Tensor

from s2s_plugin.search.options import BeamOptions
from s2s_plugin.search.state import FORCED_EOS_LOGPROB, NEG_INF, BeamState, Selector


class Sampler(Selector):
    """Draw tokens for the K hypotheses of n sentences.

    The draws of a sentence follow from the seed, its source and its number in the corpus, whatever its batch.
    """

    per_sentence = ("draws",)

    def __init__(self, options: BeamOptions, sample: dict, max_len: Tensor, eos: int):
        self.options, self.eos = options, eos
        source, lengths = sample["net_input"]["src_tokens"], sample["net_input"]["src_lengths"].tolist()
        numbers = sample["id"].tolist() if "id" in sample else [0] * len(source)
        draws = []
        for row, number, length, steps in zip(source, numbers, lengths, max_len.tolist(), strict=True):
            content = row[:length].cpu().double().numpy().tobytes()
            generator = torch.Generator().manual_seed(zlib.crc32(content + f"{number} {options.seed}".encode()))
            draws.append(torch.rand(steps + 1, options.beam, generator=generator))
        self.draws = torch.nn.utils.rnn.pad_sequence(draws, batch_first=True).to(max_len.device)  # n x T x K in [0, 1)

    def choose(self, scores: Tensor, end: Tensor, state: BeamState) -> tuple[Tensor, Tensor, Tensor]:
        stuck = scores.amax(2).eq(NEG_INF)
        scores[..., self.eos] = torch.where(stuck, end.clamp(min=FORCED_EOS_LOGPROB), scores[..., self.eos])
        cumulative = self._probs(scores).double().cumsum(2)  # n x K x V: float32 would lose rare tokens
        point = self.draws[:, state.step].unsqueeze(2) * cumulative[..., -1:]
        token = torch.searchsorted(cumulative, point, right=True)  # n x K x 1
        total = state.total + scores.gather(2, token).squeeze(2)
        parent = torch.arange(total.size(1), device=total.device).expand_as(total)
        return total, parent, token.squeeze(2)

    def _probs(self, scores: Tensor) -> Tensor:
        """Return n x K x V probabilities, each truncation applied to the result of the previous one."""
        options, probs = self.options, scores.softmax(2)
        if 0 < options.sampling_topk < scores.size(2):
            threshold = probs.topk(options.sampling_topk, 2).values[..., -1:]
            probs = _normalize(probs.masked_fill(probs < threshold, 0))
        if 0 < options.sampling_topp < 1:
            probs = _normalize(probs * smallest_set(-probs, probs, options.sampling_topp))
        if 0 < options.typical_sampling < 1:
            entropy = torch.special.entr(probs).sum(2, keepdim=True)
            rank = (-probs.log() - entropy).abs()
            probs = _normalize(probs * smallest_set(rank, probs, options.typical_sampling))
        return probs


def _normalize(probs: Tensor) -> Tensor:
    return probs / probs.sum(2, keepdim=True)


def smallest_set(rank: Tensor, probs: Tensor, mass: float) -> Tensor:
    """Return a mask of the smallest set of tokens, lowest ``rank`` first, whose probabilities reach ``mass``.

    Ranked by probability: nucleus sampling (Holtzman et al. 2020). Ranked by the distance of the surprisal from the
    entropy: locally typical sampling (Meister et al. 2022).
    """
    order = rank.argsort(dim=2, stable=True)
    ordered = probs.gather(2, order)
    before = ordered.cumsum(2) - ordered
    return torch.zeros_like(probs, dtype=torch.bool).scatter_(2, order, before < mass)
