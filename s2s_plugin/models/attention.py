"""Attention: where in the source the decoder looks while it writes the next symbol."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from s2s_plugin.models.memory import Memory


class GeneralAttention(nn.Module):
    """score(h, m_s) = h^T W m_s, softmax over the source (Luong et al. 2015, section 3.1, "general").

    ``W m_s`` does not depend on the target: it is computed once per sentence and kept in the memory as ``keys``.

    Args:
        query_size: width of the decoder state h.
        value_size: width D of a memory value m_s.
    """

    def __init__(self, query_size: int, value_size: int):
        super().__init__()
        self.key = nn.Linear(value_size, query_size, bias=False)

    def prepare(self, memory: Memory) -> Memory:
        """Memory with its keys, B x S x query_size, and values in the keys' type; done once per source."""
        keys = self.key(memory.values)
        return memory._replace(keys=keys, values=memory.values.to(keys.dtype))

    def forward(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Read the memory at one step.

        Args:
            query: N x query_size decoder states, N = B, or N = B * K with the K queries of an item together.
            memory: prepared memory of B items; it is not copied K times.

        Returns:
            context N x D, weights N x S; padding gets weight 0.
        """
        assert memory.keys is not None
        batch, source_len, width = memory.values.shape
        query = query.view(batch, -1, query.size(-1))  # B x K x A
        scores = torch.bmm(query, memory.keys.transpose(1, 2))  # B x K x S
        scores = scores.masked_fill(memory.padding_mask.unsqueeze(1), float("-inf"))
        weights = scores.softmax(dim=-1, dtype=torch.float32).to(query.dtype)
        context = torch.bmm(weights, memory.values)  # B x K x D
        return context.view(-1, width), weights.view(-1, source_len)
