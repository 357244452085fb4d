"""What all kinds of attention share: softmax over the source, and the average it takes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from s2s_plugin.models.attention.history import History
from s2s_plugin.models.memory import Memory


class Attention(nn.Module):
    """context = sum_s a_s m_s with a = softmax_s score(h, m_s).

    The part of a score that depends on the source alone is computed once by :meth:`precompute_keys` and kept in the
    memory as ``keys``. Kinds differ in :meth:`precompute_keys` and :meth:`score`.

    Args:
        query_size: width Q of the decoder state h.
        value_size: width D of a memory value m_s.
        size: width A in which some kinds compare the two.
        history: what of the weights so far enters the score, or None.

    Attributes:
        context_size: width of the context.
    """

    def __init__(self, query_size: int, value_size: int, size: int, history: History | None = None):
        super().__init__()
        self.context_size = value_size
        self.history = history

    def precompute_keys(self, memory: Memory) -> Memory:
        """Memory with its keys, B x S x A, and values in the keys' type; done once per source."""
        return memory._replace(keys=memory.values)

    def initial_state(self, memory: Memory) -> Tensor | None:
        """What is remembered before the first step, B x S x P."""
        return None if self.history is None else self.history.initial_state(memory)

    def forward(
        self, query: Tensor, memory: Memory, past: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Read the memory.

        Args:
            query: N x Q decoder states: N = B, or N = B * K with the K queries of an item together (those of the K
                hypotheses of a beam, or of all target steps at once).
            memory: prepared memory of B items; it is not copied K times.
            past: N x S x P, what is remembered of the steps before; None without a history.

        Returns:
            context N x D, weights N x S (padding gets 0), and what is to be remembered.
        """
        batch, source_len, _ = memory.values.shape
        query = query.view(batch, -1, query.size(-1))  # B x K x Q
        seen = None
        if self.history is not None and past is not None:
            past = past.view(batch, -1, source_len, past.size(2))
            seen = self.history(past)  # B x K x S x F
        scores = self.score(query, memory, seen)  # B x K x S
        scores = scores.masked_fill(memory.padding_mask.unsqueeze(1), float("-inf"))
        weights = softmax(scores)
        context = torch.bmm(weights, memory.values)  # B x K x D
        if self.history is not None and past is not None:
            past = self.history.update(past, weights, query, memory).flatten(0, 1)
        return context.flatten(0, 1), weights.flatten(0, 1), past

    def score(self, query: Tensor, memory: Memory, seen: Tensor | None) -> Tensor:
        """Any real numbers, B x K x S.

        Args:
            query: B x K x Q.
            memory: with keys.
            seen: B x K x S x F features of the weights so far, or None.
        """
        raise NotImplementedError


class NoAttention(Attention):
    """No context: the decoder knows of the source what its first state tells (Sutskever et al. 2014)."""

    def __init__(self, query_size: int, value_size: int, size: int, history: History | None = None):
        super().__init__(query_size, value_size, size)
        self.context_size = 0

    def forward(
        self, query: Tensor, memory: Memory, past: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        return query[:, :0], query.new_zeros(len(query), memory.values.size(1)), None


def softmax(scores: Tensor) -> Tensor:
    """Over the last dimension, in float32 at least."""
    precise = torch.promote_types(scores.dtype, torch.float32)
    return scores.softmax(dim=-1, dtype=precise).to(scores.dtype)
