"""Attention that compares the decoder's state with the memory in a small network."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s2s_plugin.models.attention.base import Attention
from s2s_plugin.models.attention.history import History
from s2s_plugin.models.memory import Memory


class AdditiveAttention(Attention):
    """score(h, m_s) = v^T tanh(W m_s + U h + b) (Bahdanau et al. 2015, section 3.1); the keys are W m_s.

    With a history, V f_s is added within the tanh for its features f_s.
    """

    def __init__(self, query_size: int, value_size: int, size: int, history: History | None = None):
        super().__init__(query_size, value_size, size, history)
        self.key = nn.Linear(value_size, size, bias=False)
        self.query = nn.Linear(query_size, size)
        self.seen = None if history is None else nn.Linear(history.size, size, bias=False)
        self.energy = nn.Linear(size, 1, bias=False)

    def precompute_keys(self, memory: Memory) -> Memory:
        keys = self.key(memory.values)
        return memory._replace(keys=keys, values=memory.values.to(keys.dtype))

    def score(self, query: Tensor, memory: Memory, seen: Tensor | None) -> Tensor:
        assert memory.keys is not None
        inner = memory.keys.unsqueeze(1) + self.query(query).unsqueeze(2)  # B x K x S x A
        if seen is not None:
            assert self.seen is not None
            inner = inner + self.seen(seen)
        return self.weigh(inner.tanh())

    def weigh(self, inner: Tensor) -> Tensor:
        """B x K x S x A to B x K x S."""
        return self.energy(inner).squeeze(3)


class NormalizedAdditiveAttention(AdditiveAttention):
    """Additive attention with g v / |v| for v (Salimans & Kingma 2016; in the decoder of Google's NMT)."""

    def __init__(self, query_size: int, value_size: int, size: int, history: History | None = None):
        super().__init__(query_size, value_size, size, history)
        self.gain = nn.Parameter(torch.tensor(size**-0.5))

    def weigh(self, inner: Tensor) -> Tensor:
        return F.linear(inner, self.gain * F.normalize(self.energy.weight)).squeeze(3)
