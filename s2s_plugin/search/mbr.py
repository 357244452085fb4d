"""Minimum Bayes risk: the hypothesis that agrees best with the others (Kumar & Byrne 2004; Eikema & Aziz 2020)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from s2s_plugin.scoring.rewards import Reward


class MinimumBayesRisk:
    """A search whose hypotheses are reranked by expected utility, sum_j p_j u(Y_i, Y_j).

    The utility compares texts. For beam search, p_j is P(Y_j | X) normalized over the hypotheses; for samples, whose
    frequency reflects their probability, 1 / K. The search is ours or fairseq's, ``text`` decodes ids with </s>.
    """

    def __init__(self, search: Any, utility: Reward, text: Callable[[Tensor], str], samples: bool):
        self.search, self.utility, self.text, self.samples = search, utility, text, samples
        self.symbols_to_strip_from_output = search.symbols_to_strip_from_output

    def generate(self, models: list, sample: dict, **kwargs: Any) -> list[list[dict]]:
        """Decode as the search does; hypotheses gain an ``expected_utility`` and keep their ``score``."""
        return [self._rerank(hypotheses) for hypotheses in self.search.generate(models, sample, **kwargs)]

    def _rerank(self, hypotheses: list[dict]) -> list[dict]:
        texts = [self.text(each["tokens"]) for each in hypotheses]
        total = torch.stack([each["positional_scores"].double().sum() for each in hypotheses])
        probs = (torch.zeros_like(total) if self.samples else total).softmax(0).tolist()
        weight = dict.fromkeys(texts, 0.0)  # samples may be equal
        for text, prob in zip(texts, probs, strict=True):
            weight[text] += prob
        expected = {text: sum(p * self.utility(text, other) for other, p in weight.items()) for text in weight}
        for each, text in zip(hypotheses, texts, strict=True):
            each["expected_utility"] = expected[text]
        return sorted(hypotheses, key=lambda each: -each["expected_utility"])
