"""Attention: where in the source the decoder looks while it writes the next symbol."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from s2s_plugin.models.memory import Memory


class GeneralAttention(nn.Module):
    """score(h, m_s) = h^T W m_s, softmax over the source (Luong et al. 2015, section 3.1, "general").

    ``W m_s`` does not depend on the target: it is computed once per sentence and kept in the memory as ``keys``.
    Other kinds differ in :meth:`score`.

    Args:
        query_size: width Q of the decoder state h.
        value_size: width D of a memory value m_s.
        size: width A in which other kinds compare the two; here A = Q.

    Attributes:
        needs_past: whether :meth:`score` wants the weights of the step before.
    """

    needs_past = False

    def __init__(self, query_size: int, value_size: int, size: int):
        super().__init__()
        self.key = nn.Linear(value_size, query_size, bias=False)

    def prepare(self, memory: Memory) -> Memory:
        """Memory with its keys, B x S x A, and values in the keys' type; done once per source."""
        keys = self.key(memory.values)
        return memory._replace(keys=keys, values=memory.values.to(keys.dtype))

    def forward(self, query: Tensor, memory: Memory, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Read the memory at one step.

        Args:
            query: N x Q decoder states, N = B, or N = B * K with the K queries of an item together.
            memory: prepared memory of B items; it is not copied K times.
            past: N x S weights of the step before, where the kind needs them.

        Returns:
            context N x D, weights N x S; padding gets weight 0.
        """
        batch, source_len, width = memory.values.shape
        query = query.view(batch, -1, query.size(-1))  # B x K x Q
        if past is not None:
            past = past.view(batch, -1, source_len)  # B x K x S
        scores = self.score(query, memory, past)  # B x K x S
        scores = scores.masked_fill(memory.padding_mask.unsqueeze(1), float("-inf"))
        weights = scores.softmax(dim=-1, dtype=torch.float32).to(query.dtype)
        context = torch.bmm(weights, memory.values.to(query.dtype))  # B x K x D
        return context.view(-1, width), weights.view(-1, source_len)

    def score(self, query: Tensor, memory: Memory, past: Tensor | None) -> Tensor:
        """``query``: B x K x Q. Returns B x K x S, any real numbers."""
        assert memory.keys is not None
        return torch.bmm(query, memory.keys.transpose(1, 2))


class AdditiveAttention(GeneralAttention):
    """score(h, m_s) = v^T tanh(W m_s + U h) (Bahdanau et al. 2015, section 3.1)."""

    def __init__(self, query_size: int, value_size: int, size: int):
        super().__init__(query_size, value_size, size)
        self.key = nn.Linear(value_size, size, bias=False)
        self.query = nn.Linear(query_size, size)
        self.energy = nn.Linear(size, 1, bias=False)

    def score(self, query: Tensor, memory: Memory, past: Tensor | None) -> Tensor:
        assert memory.keys is not None
        inner = memory.keys.unsqueeze(1) + self.query(query).unsqueeze(2)  # B x K x S x A
        return self.energy(self.located(inner, past).tanh()).squeeze(3)

    def located(self, inner: Tensor, past: Tensor | None) -> Tensor:
        """What is added to the keys and the query, for kinds that know where they looked before."""
        return inner


class LocationAttention(AdditiveAttention):
    """score = v^T tanh(W m_s + U h + V f_s), f = F * (weights of the step before) (Chorowski et al. 2015, section 2.1).

    The convolution F lets attention move on from where it was, which speech and lip reading need: the same sound or
    shape may come twice.
    """

    needs_past = True
    FILTERS, WIDTH = 10, 15  # of the convolution; WIDTH in memory steps

    def __init__(self, query_size: int, value_size: int, size: int):
        super().__init__(query_size, value_size, size)
        self.filters = nn.Conv1d(1, self.FILTERS, self.WIDTH, padding=self.WIDTH // 2, bias=False)
        self.location = nn.Linear(self.FILTERS, size, bias=False)

    def located(self, inner: Tensor, past: Tensor | None) -> Tensor:
        assert past is not None
        found = self.filters(past.flatten(0, 1).unsqueeze(1))  # B*K x filters x S
        return inner + self.location(found.transpose(1, 2)).view_as(inner)


ATTENTIONS = {"general": GeneralAttention, "additive": AdditiveAttention, "location": LocationAttention}
