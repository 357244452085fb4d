"""Diverse beam search: groups of hypotheses that avoid each other's words (Vijayakumar et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from fairseq.data import Dictionary
from torch import Tensor

from s2s_plugin.models.memory import Memory
from s2s_plugin.models.seq2seq import Seq2SeqModel
from s2s_plugin.search.beam import BeamSearch
from s2s_plugin.search.options import BeamOptions


class DiverseBeamSearch(BeamSearch):
    """G beam searches of K / G hypotheses; in each step a group finds a symbol the worse, the more often the groups
    before it have just chosen it.

    Hamming diversity (section 3): argmax of log P(Y|X) - strength * (times chosen in this step by earlier groups). The
    penalty chooses and is then forgotten: scores are log-probabilities, and groups are ordered by these at the end.
    fairseq's own search adds penalties up over the steps, and mixes the groups when a hypothesis ends.

    Args:
        models, dictionary, options, besides: see :class:`BeamSearch`. ``options.beam`` is K, a multiple of G.
    """

    def __init__(self, models: list[Seq2SeqModel], dictionary: Dictionary, options: BeamOptions, *besides: Any):
        self.groups, self.strength = options.diverse_beam_groups, options.diverse_beam_strength
        beam = options.beam // self.groups
        each = replace(options, beam=beam, mbr="none", diverse_beam_groups=-1, diverse_beam_strength=0.5)
        super().__init__(models, dictionary, each, *besides)

    def generate(
        self,
        models: list[Seq2SeqModel],
        sample: dict,
        prefix_tokens: Tensor | None = None,
        constraints: Tensor | None = None,
        **_: object,
    ) -> list[list[dict]]:
        """As :meth:`BeamSearch.generate`; a hypothesis that several groups have found comes once."""
        times = self.groups  # to the search each group is a sentence
        net_input = {name: value.repeat_interleave(times, 0) for name, value in sample["net_input"].items()}
        prefix_tokens = None if prefix_tokens is None else prefix_tokens.repeat_interleave(times, 0)
        found = super().generate(models, {"net_input": net_input}, prefix_tokens, constraints)
        together = (chain.from_iterable(found[start : start + times]) for start in range(0, len(found), times))
        return [sorted(_distinct(hypotheses), key=lambda each: -each["score"]) for hypotheses in together]

    def _encode(self, models: list[Seq2SeqModel], source: Tensor, lengths: Tensor) -> list[Memory]:
        memories = super()._encode(models, source[:: self.groups], lengths[:: self.groups])
        return [memory.repeat(self.groups) for memory in memories]

    def _best(
        self, scores: Tensor, total: Tensor, end: Tensor, count: Tensor, sentence: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        owner, group = sentence // self.groups, sentence % self.groups
        chosen = scores.new_zeros(int(owner[-1]) + 1, scores.size(2))  # times, of each symbol for each sentence
        found = []
        for number in range(self.groups):
            rows = (group == number).nonzero().squeeze(1)
            if not len(rows):
                continue
            repeated = chosen[owner[rows]].unsqueeze(1)  # rows x 1 x V
            best, parent, token = super()._best(
                scores[rows] - self.strength * repeated, total[rows], end[rows], count[rows], sentence[rows]
            )
            unpenalised = scores[rows].flatten(1).gather(1, parent * scores.size(2) + token)
            possible = best.isfinite() & unpenalised.isfinite()  # where nothing may follow, </s> had no penalty
            best = torch.where(possible, total[rows].gather(1, parent) + unpenalised, best)
            first = slice(self.options.beam)
            active = (count[rows] < self.num_finished).unsqueeze(1)  # what is done may stay for a while, and has no say
            times = (best[:, first].isfinite() & active).to(chosen.dtype)
            chosen.view(-1).index_add_(
                0, (owner[rows].unsqueeze(1) * chosen.size(1) + token[:, first]).flatten(), times.flatten()
            )
            found.append((rows, best, parent, token))
        rows, *fields = (torch.cat(parts) for parts in zip(*found, strict=True))
        order = rows.argsort()
        best, parent, token = (field[order] for field in fields)
        return best, parent, token


def _distinct(hypotheses: Iterable[dict]) -> list[dict]:
    return list({tuple(found["tokens"].tolist()): found for found in hypotheses}.values())
