"""Additive attention: a small network compares the decoder state with each memory value."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s2s_plugin.models.attention.base import Attention
from s2s_plugin.models.attention.history import AttentionHistory
from s2s_plugin.models.memory import Memory


class AdditiveAttention(Attention):
    """score(h, m_s) = v^T tanh(W m_s + U h + b) (Bahdanau et al. 2015, section 3.1); the keys are W m_s.

    With a history, V f_s for its features f_s is added inside the tanh.
    """

    def __init__(self, query_size: int, value_size: int, size: int, history: AttentionHistory | None = None):
        super().__init__(query_size, value_size, size, history)
        self.key = nn.Linear(value_size, size, bias=False)
        self.query = nn.Linear(query_size, size)
        if history is not None:
            self.history_proj = nn.Linear(history.feature_size, size, bias=False)
        self.energy = nn.Linear(size, 1, bias=False)

    def score(self, query: Tensor, memory: Memory, history_features: Tensor | None) -> Tensor:
        assert memory.keys is not None
        hidden = memory.keys.unsqueeze(1) + self.query(query).unsqueeze(2)  # B x K x S x A
        if history_features is not None:
            hidden = hidden + self.history_proj(history_features)
        return self._energies(hidden.tanh())

    def _energies(self, hidden: Tensor) -> Tensor:
        """Map B x K x S x A to B x K x S."""
        return self.energy(hidden).squeeze(3)


class NormalizedAdditiveAttention(AdditiveAttention):
    """Additive attention with g v / |v| for v (Salimans & Kingma 2016), as in GNMT's decoder."""

    def __init__(self, query_size: int, value_size: int, size: int, history: AttentionHistory | None = None):
        super().__init__(query_size, value_size, size, history)
        self.gain = nn.Parameter(torch.tensor(size**-0.5))

    def _energies(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.gain * F.normalize(self.energy.weight)).squeeze(3)
