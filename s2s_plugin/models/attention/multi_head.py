"""Attention with several heads."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from s2s_plugin.errors import UserError
from s2s_plugin.models.attention.base import Attention, softmax
from s2s_plugin.models.attention.history import History
from s2s_plugin.models.memory import Memory


class MultiHeadAttention(Attention):
    """Several attentions side by side, each over its own projection (Vaswani et al. 2017, section 3.2.2).

    head_i = softmax(q_i^T k_is / sqrt(D / heads)) v_i with q_i = Q_i h, k_is = K_i m_s and v_is = V_i m_s; the context
    joins the heads. The weights that are shown and remembered are the mean over the
    heads. The memory's keys hold k and v.
    """

    HEADS = 4

    def __init__(self, query_size: int, value_size: int, size: int, history: History | None = None):
        super().__init__(query_size, value_size, size, history)
        if value_size % self.HEADS:
            raise UserError(
                f"model.attention=multi_head shares values of width {value_size} among {self.HEADS} heads: "
                f"give model.encoder_hidden_size a multiple of {self.HEADS}"
            )
        self.query = nn.Linear(query_size, value_size)
        self.key_and_value = nn.Linear(value_size, 2 * value_size)
        self.seen = None if history is None else nn.Linear(query_size, history.size * self.HEADS, bias=False)

    def precompute_keys(self, memory: Memory) -> Memory:
        return memory._replace(keys=self.key_and_value(memory.values))

    def forward(
        self, query: Tensor, memory: Memory, past: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        assert memory.keys is not None
        batch, source_len, width = memory.values.shape
        query = query.view(batch, -1, query.size(-1))
        queries, keys, values = (self._heads(x) for x in (self.query(query), *memory.keys.chunk(2, 2)))
        scores = queries @ keys.transpose(2, 3) * (width / self.HEADS) ** -0.5  # B x heads x K x S
        if self.history is not None and past is not None:
            assert self.seen is not None
            past = past.view(batch, -1, source_len, past.size(2))
            asked = self._heads(self.seen(query)).unsqueeze(4)  # B x heads x K x F x 1
            scores = scores + torch.matmul(self.history(past).unsqueeze(1), asked).squeeze(4)
        scores = scores.masked_fill(memory.padding_mask[:, None, None], float("-inf"))
        weights = softmax(scores)
        context = (weights @ values).transpose(1, 2).flatten(2)  # B x K x D
        mean = weights.mean(1)  # B x K x S
        if self.history is not None and past is not None:
            past = self.history.update(past, mean, query, memory).flatten(0, 1)
        return context.flatten(0, 1), mean.flatten(0, 1), past

    def _heads(self, x: Tensor) -> Tensor:
        """B x ... x D to B x heads x ... x D / heads."""
        return x.unflatten(-1, (self.HEADS, -1)).transpose(1, 2)
