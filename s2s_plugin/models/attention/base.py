"""Base of all attention kinds: softmax over source steps and the weighted average of their values."""

import torch
from torch import Tensor, nn

from s2s_plugin.models.attention.history import AttentionHistory
from s2s_plugin.models.memory import Memory

AttentionStep = tuple[Tensor, Tensor, Tensor | None]  # context N x D, weights N x S, next attention state


class Attention(nn.Module):
    """Compute context = sum_s a_s m_s with a = softmax_s score(h, m_s).

    The part of a score that depends on the source alone is computed once by :meth:`precompute_keys` and kept in the
    memory as ``keys``. Kinds differ in ``key``, a projection, and :meth:`score`.

    Args:
        query_size: width Q of the decoder state h.
        value_size: width D of a memory value m_s.
        size: width A of the space in which additive kinds compare the two (``model.attention_size``).
        history: features of earlier attention weights that enter the score, or None.
    """

    def __init__(self, query_size: int, value_size: int, size: int, history: AttentionHistory | None = None):
        super().__init__()
        self.context_size = value_size  # width of the context
        self.history = history
        self.key: nn.Linear | None = None

    def precompute_keys(self, memory: Memory) -> Memory:
        """Return the memory with keys, B x S x width of ``key``; values get the keys' type (autocast)."""
        keys = memory.values if self.key is None else self.key(memory.values)
        return memory._replace(keys=keys, values=memory.values.to(keys.dtype))

    def initial_state(self, memory: Memory) -> Tensor | None:
        """Return the attention state before the first step, B x S x P; None without a history."""
        return None if self.history is None else self.history.initial_state(memory)

    def forward(self, query: Tensor, memory: Memory, attn_state: Tensor | None = None) -> AttentionStep:
        """Attend to the memory; weights are 0 at padding.

        Args:
            query: N x Q decoder states: N = B, or N = B * K with the K queries of an item adjacent (the K hypotheses
                of a beam, or all target steps at once).
            memory: B items with keys; not repeated K times.
            attn_state: N x S x P state after the previous step; None without a history.
        """
        batch, source_len, _ = memory.values.shape
        query = query.view(batch, -1, query.size(-1))  # B x K x Q
        history_features = None
        if self.history is not None and attn_state is not None:
            attn_state = attn_state.view(batch, -1, source_len, attn_state.size(2))
            history_features = self.history(attn_state)  # B x K x S x F
        scores = self.score(query, memory, history_features)
        padding = memory.padding_mask.view(batch, *(1,) * (scores.dim() - 2), source_len)
        context, weights = self.read(softmax(scores.masked_fill(padding, float("-inf"))), memory)
        if self.history is not None and attn_state is not None:
            attn_state = self.history.update(attn_state, weights, query, memory).flatten(0, 1)
        return context.flatten(0, 1), weights.flatten(0, 1), attn_state

    def score(self, query: Tensor, memory: Memory, history_features: Tensor | None) -> Tensor:
        """Return unnormalized scores, B x K x S (multi-head: B x heads x K x S).

        ``query`` is B x K x Q, the memory has keys, ``history_features`` is B x K x S x F or None.
        """
        raise NotImplementedError(f"{type(self).__name__} must define score(query, memory, history_features)")

    def read(self, weights: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Return the context B x K x D and the weights B x K x S for normalized scores."""
        return torch.bmm(weights, memory.values), weights


class NoAttention(Attention):
    """Give no context: all the decoder knows of the source is its initial state (Sutskever et al. 2014)."""

    def __init__(self, query_size: int, value_size: int, size: int, history: AttentionHistory | None = None):
        super().__init__(query_size, value_size, size)
        self.context_size = 0

    def forward(self, query: Tensor, memory: Memory, attn_state: Tensor | None = None) -> AttentionStep:
        return query[:, :0], query.new_zeros(query.size(0), memory.values.size(1)), None


def softmax(scores: Tensor) -> Tensor:
    """Normalize the last dimension, in at least float32."""
    precise = torch.promote_types(scores.dtype, torch.float32)
    return scores.softmax(dim=-1, dtype=precise).to(scores.dtype)
