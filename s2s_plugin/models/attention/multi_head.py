"""Multi-head attention."""

import torch
from torch import Tensor, nn

from s2s_plugin.models.attention.base import Attention
from s2s_plugin.models.attention.history import AttentionHistory
from s2s_plugin.models.memory import Memory

HEADS = 4


class MultiHeadAttention(Attention):
    """Attend with several heads, each over its own projections (Vaswani et al. 2017, section 3.2.2).

    head_i = softmax(q_i^T k_is / sqrt(D / heads)) v_i with q_i = Q_i h, k_is = K_i m_s, v_is = V_i m_s; the context
    concatenates the heads, with no output projection. The returned weights are the mean over the heads. The memory's
    keys hold both k and v. D must be a multiple of the number of heads.
    """

    def __init__(self, query_size: int, value_size: int, size: int, history: AttentionHistory | None = None):
        super().__init__(query_size, value_size, size, history)
        self.query = nn.Linear(query_size, value_size)
        self.key_and_value = nn.Linear(value_size, 2 * value_size)
        if history is not None:
            self.history_proj = nn.Linear(query_size, history.feature_size * HEADS, bias=False)

    def precompute_keys(self, memory: Memory) -> Memory:
        return memory._replace(keys=self.key_and_value(memory.values))

    def score(self, query: Tensor, memory: Memory, history_features: Tensor | None) -> Tensor:
        assert memory.keys is not None
        width = self.context_size
        queries, keys = _heads(self.query(query)), _heads(memory.keys[..., :width])
        scores = queries @ keys.transpose(2, 3) * (width / HEADS) ** -0.5  # B x heads x K x S
        if history_features is not None:
            history_queries = _heads(self.history_proj(query)).unsqueeze(4)  # B x heads x K x F x 1
            scores = scores + torch.matmul(history_features.unsqueeze(1), history_queries).squeeze(4)
        return scores

    def read(self, weights: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Return the heads' contexts side by side and the mean of their weights B x heads x K x S."""
        assert memory.keys is not None
        values = _heads(memory.keys[..., self.context_size :])
        return (weights @ values).transpose(1, 2).flatten(2), weights.mean(1)


def _heads(x: Tensor) -> Tensor:
    """Split B x ... x D into B x heads x ... x D / heads."""
    return x.view(*x.shape[:-1], HEADS, -1).transpose(1, 2)
