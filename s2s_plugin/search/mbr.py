"""Minimum Bayes risk: the hypothesis that agrees best with the others (Kumar & Byrne 2004; Eikema & Aziz 2020)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from s2s_plugin.scoring.rewards import Reward


class MinimumBayesRisk:
    """A search whose hypotheses are reordered by expected utility, sum_j p_j u(Y_i, Y_j).

    The utility sees text. Of a beam, p_j is P(Y_j | X) as a share of all hypotheses' probability; of samples, which are
    as frequent as they are likely, 1 / K.

    Args:
        search: ours, or another that ``fairseq-generate`` can use.
        utility: of a hypothesis and what stands for its reference, from 0 to 1.
        text: ids with </s> to text.
        samples: whether the search draws its hypotheses.
    """

    def __init__(self, search: Any, utility: Reward, text: Callable[[Tensor], str], samples: bool):
        self.search, self.utility, self.text, self.samples = search, utility, text, samples
        self.shortlist = getattr(search, "shortlist", None)
        self.symbols_to_strip_from_output = search.symbols_to_strip_from_output

    def generate(self, models: list, sample: dict, **forced: Any) -> list[list[dict]]:
        """As the search does; each hypothesis has its ``expected_utility`` besides, and keeps its ``score``."""
        return [self._reorder(found) for found in self.search.generate(models, sample, **forced)]

    def _reorder(self, hypotheses: list[dict]) -> list[dict]:
        texts = [self.text(found["tokens"]) for found in hypotheses]
        total = torch.stack([found["positional_scores"].double().sum() for found in hypotheses])
        shares = (torch.zeros_like(total) if self.samples else total).softmax(0).tolist()
        weight: dict[str, float] = {}  # of each text: samples repeat themselves
        for text, share in zip(texts, shares, strict=True):
            weight[text] = weight.get(text, 0.0) + share
        expected = {text: sum(p * self.utility(text, other) for other, p in weight.items()) for text in weight}
        for found, text in zip(hypotheses, texts, strict=True):
            found["expected_utility"] = expected[text]
        return sorted(hypotheses, key=lambda found: -found["expected_utility"])
