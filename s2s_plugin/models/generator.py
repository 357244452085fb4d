"""Generator: the decoder's features to logits over the vocabulary (beam search is in ``s2s_plugin.search``)."""

import torch
from torch import Tensor, nn

from s2s_plugin.models.attention.base import softmax
from s2s_plugin.models.layers.dropout import Dropout
from s2s_plugin.models.layers.init import init_uniform
from s2s_plugin.models.memory import Memory


class Generator(nn.Module):
    """logits = E (P f) + b; P only if the features f and the output embedding E differ in width.

    To tie E, V x ``embed_size``, with the target embedding (Press & Wolf 2017), assign its table to ``output.weight``.
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
        """Return logits of the next token, ... x V, for features ... x H and attention weights ... x S of same steps.

        The features have equally many rows for each of the memory's B items, adjacent.
        """
        return self.output(self.project(features))


class PointerGenerator(Generator):
    """P(w) = g P_vocab(w) + (1 - g) sum_{s: x_s = w} a_s with g = s(u^T f + b) (See et al. 2017, section 2.2).

    A source token missing from the target dictionary is copied as its unknown token. The logits are log P.
    """

    def __init__(self, feature_size: int, embed_size: int, vocabulary_size: int, dropout: Dropout):
        super().__init__(feature_size, embed_size, vocabulary_size, dropout)
        self.switch = nn.Linear(feature_size, 1)
        init_uniform(self.switch, feature_size)

    def forward(self, features: Tensor, attention: Tensor, memory: Memory) -> Tensor:
        assert memory.copy_ids is not None
        p_vocab = softmax(super().forward(features, attention, memory).float())  # ... x V
        p_gen = self.switch(features).float().sigmoid()  # ... x 1
        weights = attention.float().view(memory.copy_ids.size(0), -1, attention.size(-1))  # B x K x S
        copy_ids = memory.copy_ids.unsqueeze(1).expand_as(weights)
        p_copy = weights.new_zeros(*weights.shape[:2], p_vocab.size(-1)).scatter_add(2, copy_ids, weights)
        p = p_gen * p_vocab + (1 - p_gen) * p_copy.view_as(p_vocab)
        return p.clamp(min=torch.finfo(p.dtype).tiny).log()


class AdaptiveGenerator(nn.Module):
    """Adaptive softmax: a head of frequent tokens and clusters of rarer ones (Grave et al. 2017).

    Ids must be sorted by frequency, as in fairseq dictionaries; ``cutoffs`` are the first ids of the clusters. Training
    uses :meth:`target_log_probs`.
    """

    def __init__(self, feature_size: int, vocabulary_size: int, cutoffs: list[int]):
        super().__init__()
        self.softmax = nn.AdaptiveLogSoftmaxWithLoss(feature_size, vocabulary_size, cutoffs)

    def forward(self, features: Tensor, attention: Tensor, memory: Memory) -> Tensor:
        log_probs = self.softmax.log_prob(features.flatten(0, -2))
        return log_probs.unflatten(0, features.shape[:-1])

    def target_log_probs(self, features: Tensor, target: Tensor) -> Tensor:
        """Return log-probabilities of the ids ``target`` N alone, from features N x H; N."""
        with torch.autocast(features.device.type, enabled=False):  # torch fills clusters of one type only
            return self.softmax(features.to(self.softmax.head.weight.dtype), target).output


AnyGenerator = Generator | AdaptiveGenerator


def token_log_probs(logits: Tensor, tokens: Tensor) -> Tensor:
    """Return the log-probabilities of ``tokens`` ... under ``logits`` ... x V, in float32; ...."""
    logits = logits.float()
    return logits.gather(-1, tokens.unsqueeze(-1)).squeeze(-1) - logits.logsumexp(-1)
