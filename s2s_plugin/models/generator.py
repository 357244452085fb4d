"""Generator: the decoder's features to scores over the vocabulary (the model part; the beam is in ``search``)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from s2s_plugin.models.attention.base import softmax
from s2s_plugin.models.layers.dropout import Dropout
from s2s_plugin.models.layers.init import init_uniform
from s2s_plugin.models.memory import Memory


class Generator(nn.Module):
    """logits = E (P f) + b; P only where the features f are not as wide as the output embedding E.

    To tie E with the target embedding (Press & Wolf 2017), assign its table to ``output.weight``.

    Args:
        feature_size: width H of the decoder's features.
        embed_size: width of a row of E.
        vocabulary_size: number V of rows of E.
        dropout: on P f.
    """

    def __init__(self, feature_size: int, embed_size: int, vocabulary_size: int, dropout: Dropout):
        super().__init__()
        self.project: nn.Module = nn.Identity()
        if embed_size != feature_size:
            self.project = nn.Sequential(nn.Linear(feature_size, embed_size), dropout)
        self.output = nn.Linear(embed_size, vocabulary_size)
        init_uniform(self, feature_size)
        nn.init.zeros_(self.output.bias)

    def forward(self, features: Tensor, attention: Tensor, memory: Memory) -> Tensor:
        """Log-probabilities of the next symbol, but for a constant of each row.

        Args:
            features: ... x H.
            attention: ... x S weights that led to them.
            memory: what they were read from; B items, of which each has as many rows, together.

        Returns:
            ... x V.
        """
        return self.output(self.project(features))


class PointerGenerator(Generator):
    """P(w) = g P_vocabulary(w) + (1 - g) sum_{s: x_s = w} a_s with g = s(u^T f + b) (See et al. 2017, section 2.2).

    A source symbol that the target's dictionary lacks is copied as its unknown word.
    """

    def __init__(self, feature_size: int, embed_size: int, vocabulary_size: int, dropout: Dropout):
        super().__init__(feature_size, embed_size, vocabulary_size, dropout)
        self.switch = nn.Linear(feature_size, 1)
        init_uniform(self.switch, feature_size)

    def forward(self, features: Tensor, attention: Tensor, memory: Memory) -> Tensor:
        assert memory.copy_ids is not None
        written = softmax(super().forward(features, attention, memory).float())  # ... x V
        share = self.switch(features).float().sigmoid()  # ... x 1
        weights = attention.float().view(len(memory.copy_ids), -1, attention.size(-1))  # B x K x S
        symbols = memory.copy_ids.unsqueeze(1).expand_as(weights)
        copied = weights.new_zeros(*weights.shape[:2], written.size(-1)).scatter_add(2, symbols, weights)
        both = share * written + (1 - share) * copied.view_as(written)
        return both.clamp(min=torch.finfo(both.dtype).tiny).log()


class AdaptiveGenerator(nn.Module):
    """Softmax over the most frequent symbols and a few clusters of rarer ones (Grave et al. 2017).

    Ids must be sorted by frequency, as in fairseq dictionaries. Training uses :meth:`target_log_probs`.

    Args:
        feature_size: width H of the decoder's features.
        vocabulary_size: number V of symbols.
        cutoffs: first ids of the clusters.
    """

    def __init__(self, feature_size: int, vocabulary_size: int, cutoffs: list[int]):
        super().__init__()
        self.softmax = nn.AdaptiveLogSoftmaxWithLoss(feature_size, vocabulary_size, cutoffs)

    def forward(self, features: Tensor, attention: Tensor, memory: Memory) -> Tensor:
        scores = self.softmax.log_prob(features.flatten(0, -2))
        return scores.unflatten(0, features.shape[:-1])

    def target_log_probs(self, features: Tensor, target: Tensor) -> Tensor:
        """Log-probability of ids ``target`` N alone, from features N x H; N."""
        with torch.autocast(features.device.type, enabled=False):  # torch fills in clusters of one type only
            return self.softmax(features.to(self.softmax.head.weight.dtype), target).output
