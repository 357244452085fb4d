"""Diverse beam search: groups of hypotheses that avoid each other's tokens (Vijayakumar et al. 2016)."""

from __future__ import annotations

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
from s2s_plugin.search.state import BeamState, Selector
from s2s_plugin.search.topk import TopK


class DiverseTopK(TopK):
    """Choose the candidates of each group, penalizing tokens that earlier groups have chosen in the same step.

    To the search each of the G groups of an item is a sentence of its own; they are adjacent.
    """

    def __init__(self, beam: int, eos: int, keep_greedy: bool, groups: int, strength: float):
        super().__init__(beam, eos, keep_greedy)
        self.groups, self.strength = groups, strength

    def choose(self, scores: Tensor, end: Tensor, state: BeamState) -> tuple[Tensor, Tensor, Tensor]:
        """Return unpenalized totals, parents and tokens, best by the penalized score first."""
        item, group = state.sentence // self.groups, state.sentence % self.groups
        chosen = scores.new_zeros(int(item[-1]) + 1, scores.size(2))  # counts of each item's tokens in this step
        results = []
        for number in range(self.groups):
            rows = (group == number).nonzero().squeeze(1)
            if not len(rows):
                continue
            penalty = self.strength * chosen[item[rows]].unsqueeze(1)  # rows x 1 x V
            total, count = state.total[rows], state.count[rows]
            best, parent, token = self.best(scores[rows] - penalty, total, end[rows], count)
            unpenalized = scores[rows].flatten(1).gather(1, parent * scores.size(2) + token)
            possible = best.isfinite() & unpenalized.isfinite()  # a forced </s> was not penalized
            best = torch.where(possible, total.gather(1, parent) + unpenalized, best)
            active = ~state.done[rows].unsqueeze(1)  # a finished group may remain for some steps
            times = (best.isfinite() & active).to(chosen.dtype)[:, : self.beam]
            chosen.index_put_((item[rows].unsqueeze(1), token[:, : self.beam]), times, accumulate=True)
            results.append((rows, best, parent, token))
        rows, best, parent, token = (torch.cat(parts) for parts in zip(*results, strict=True))
        order = rows.argsort()
        return best[order], parent[order], token[order]


class DiverseBeamSearch(BeamSearch):
    """G beam searches of K / G hypotheses, each penalized for the tokens chosen by those before it.

    Hamming diversity (section 3): argmax of log P(Y|X) - strength * (times chosen in this step by earlier groups). The
    penalty affects the choice alone: scores are log-probabilities, and groups are ordered by these at the end.
    fairseq's own search sums penalties over the steps, and mixes the groups when a hypothesis ends.
    """

    def __init__(self, models: list[Seq2SeqModel], dictionary: Dictionary, options: BeamOptions, *args: Any):
        self.groups, self.strength = options.diverse_beam_groups, options.diverse_beam_strength
        beam = options.beam // self.groups
        each = replace(options, beam=beam, mbr="none", diverse_beam_groups=-1, diverse_beam_strength=0.5)
        super().__init__(models, dictionary, each, *args)

    def generate(
        self,
        models: Any,
        sample: dict,
        prefix_tokens: Tensor | None = None,
        constraints: Tensor | None = None,
        **_: Any,
    ) -> list[list[dict]]:
        """Decode a batch as :meth:`BeamSearch.generate` does; duplicates among the groups are dropped."""
        size = self.groups
        net_input = {name: value.repeat_interleave(size, 0) for name, value in sample["net_input"].items()}
        prefix_tokens = None if prefix_tokens is None else prefix_tokens.repeat_interleave(size, 0)
        groups = super().generate(models, {"net_input": net_input}, prefix_tokens, constraints)
        results = []
        for start in range(0, len(groups), size):
            hypotheses = chain.from_iterable(groups[start : start + size])
            distinct = {tuple(each["tokens"].tolist()): each for each in hypotheses}.values()
            results.append(sorted(distinct, key=lambda each: -each["score"]))
        return results

    def _encode(self, source: Tensor, lengths: Tensor) -> list[Memory]:
        memories = super()._encode(source[:: self.groups], lengths[:: self.groups])
        return [memory.repeat(self.groups) for memory in memories]

    def _selector(self, sample: dict, constraints: Tensor | None) -> Selector:
        return DiverseTopK(self.options.beam, self.eos, not self.stop_at_count, self.groups, self.strength)
