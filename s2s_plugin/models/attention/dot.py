"""Multiplicative attention: a dot product of the decoder state with each memory value."""

import torch
from torch import Tensor, nn

from s2s_plugin.models.attention.base import Attention
from s2s_plugin.models.attention.history import AttentionHistory
from s2s_plugin.models.memory import Memory


class DotAttention(Attention):
    """score(h, m_s) = h^T m_s (Luong et al. 2015, section 3.1, "dot"); requires Q = D.

    With a history, score = h^T m_s + (V h)^T f_s for its features f_s.
    """

    def __init__(self, query_size: int, value_size: int, size: int, history: AttentionHistory | None = None):
        super().__init__(query_size, value_size, size, history)
        if history is not None:
            self.history_proj = nn.Linear(query_size, history.feature_size, bias=False)

    def score(self, query: Tensor, memory: Memory, history_features: Tensor | None) -> Tensor:
        assert memory.keys is not None
        scores = torch.bmm(query, memory.keys.transpose(1, 2))
        if history_features is not None:
            scores = scores + torch.matmul(history_features, self.history_proj(query).unsqueeze(3)).squeeze(3)
        return scores


class GeneralAttention(DotAttention):
    """score(h, m_s) = h^T W m_s (Luong et al. 2015, section 3.1, "general"); the keys are W m_s."""

    def __init__(self, query_size: int, value_size: int, size: int, history: AttentionHistory | None = None):
        super().__init__(query_size, value_size, size, history)
        self.key = nn.Linear(value_size, query_size, bias=False)
