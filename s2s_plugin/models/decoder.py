"""Decoder: one recurrence over the target, defined once and used by training and by search."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from s2s_plugin.models.attention import ATTENTIONS
from s2s_plugin.models.dropout import Dropout
from s2s_plugin.models.init import init_uniform
from s2s_plugin.models.memory import Memory


class DecoderState(NamedTuple):
    """Everything that a step needs from the step before; N items, batch-first, so any row can be re-indexed.

    Attributes:
        hidden: N x L x H hidden states of the L layers.
        cell: N x L x H cell states.
        feed: N x H attentional state of the last step (input feeding).
        past: N x S attention weights of the last step; None for attention that does not ask.
    """

    hidden: Tensor
    cell: Tensor
    feed: Tensor
    past: Tensor | None = None

    def reorder(self, index: Tensor) -> DecoderState:
        """Select rows. ``index``: N' positions into N (may repeat)."""
        past = None if self.past is None else self.past.index_select(0, index)
        hidden, cell, feed = (field.index_select(0, index) for field in self[:3])
        return DecoderState(hidden, cell, feed, past)


class Bridge(nn.Module):
    """Encoder summary to the decoder's first state: [h_0; c_0] = tanh(W final + b), feed = 0."""

    def __init__(self, summary_size: int, layers: int, hidden_size: int):
        super().__init__()
        self.shape = (2, layers, hidden_size)
        self.project = nn.Linear(summary_size, 2 * layers * hidden_size)

    def forward(self, memory: Memory) -> DecoderState:
        hidden, cell = self.project(memory.final).tanh().unflatten(1, self.shape).unbind(1)  # B x L x H each
        return DecoderState(hidden, cell, hidden.new_zeros(hidden.size(0), hidden.size(2)))


class Decoder(nn.Module):
    """Stacked LSTM with attention and input feeding (Luong et al. 2015, sections 3.1 and 3.3).

        h_t = LSTM([e(y_{t-1}); f_{t-1}], h_{t-1})
        c_t = attention(h_t, memory)
        f_t = tanh(W [c_t; h_t])

    Args:
        embed_size: width E of a target embedding.
        hidden_size: width H of the states and of the features f_t.
        layers: number L of LSTM layers.
        value_size: width D of the memory's values.
        summary_size: width F of the memory's ``final``.
        dropout: between layers, and on f_t.
        attention: a name in ``ATTENTIONS``.
        attention_size: width in which additive kinds compare states and values.
    """

    def __init__(
        self,
        embed_size: int,
        hidden_size: int,
        layers: int,
        value_size: int,
        summary_size: int,
        dropout: float,
        attention: str = "general",
        attention_size: int = 128,
    ):
        super().__init__()
        self.bridge = Bridge(summary_size, layers, hidden_size)
        # Gates of layer 1 are a sum over its three inputs. The embedding's share does not depend on the last
        # step, so it is one matrix product over the whole target; the other two stay in the loop, as one.
        self.embedding_gates = nn.Linear(embed_size, 4 * hidden_size)
        self.recurrent_gates = nn.ModuleList(
            nn.Linear(2 * hidden_size, 4 * hidden_size, bias=layer > 0) for layer in range(layers)
        )
        self.attention = ATTENTIONS[attention](hidden_size, value_size, attention_size)
        self.combine = nn.Linear(value_size + hidden_size, hidden_size, bias=False)
        self.dropout = Dropout(dropout)
        init_uniform(self, hidden_size)

    def prepare(self, memory: Memory) -> Memory:
        """What depends on the source alone, computed once: the attention's keys."""
        return self.attention.prepare(memory)

    def start(self, memory: Memory) -> DecoderState:
        """State before the first symbol."""
        state = self.bridge(memory)
        if not self.attention.needs_past:
            return state
        return state._replace(past=state.feed.new_zeros(memory.padding_mask.shape))

    def step(self, embedded: Tensor, state: DecoderState, memory: Memory) -> tuple[DecoderState, Tensor, Tensor]:
        """Write one symbol: the only definition of the recurrence.

        Args:
            embedded: N x E embedding of the previous symbol.
            state: of N rows; N = B, or B * K with the K rows of an item together.
            memory: prepared memory of B items.

        Returns:
            new state, features N x H for the generator, attention weights N x S.
        """
        return self._step(self.embedding_gates(embedded), state, memory)

    def forward(self, embedded: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Unroll ``step`` over a known target (teacher forcing).

        Args:
            embedded: B x T x E embeddings of the previous symbols.
            memory: prepared memory of B items.

        Returns:
            features B x T x H, attention weights B x T x S.
        """
        state = self.start(memory)
        features, attention = [], []
        for gates in self.embedding_gates(embedded).unbind(1):  # T times B x 4H
            state, feature, weights = self._step(gates, state, memory)
            features.append(feature)
            attention.append(weights)
        return torch.stack(features, 1), torch.stack(attention, 1)

    def _step(self, gates: Tensor, state: DecoderState, memory: Memory) -> tuple[DecoderState, Tensor, Tensor]:
        """``step`` with the embedding's share of the first layer's gates, N x 4H."""
        below, hidden, cell = state.feed, [], []
        for layer, linear in enumerate(self.recurrent_gates):
            if layer > 0:
                below = self.dropout(below)
            share = linear(torch.cat((below, state.hidden[:, layer]), 1))  # N x 4H
            h, c = _lstm_cell(gates + share if layer == 0 else share, state.cell[:, layer])
            hidden.append(h)
            cell.append(c)
            below = h
        context, weights = self.attention(h, memory, state.past)
        features = self.dropout(torch.tanh(self.combine(torch.cat((context, h), 1))))  # N x H
        past = weights if self.attention.needs_past else None
        return DecoderState(torch.stack(hidden, 1), torch.stack(cell, 1), features, past), features, weights


def _lstm_cell(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Pre-activations N x 4H in torch's order (input, forget, cell, output) and cell N x H to (hidden, cell)."""
    i, f, g, o = gates.chunk(4, 1)
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell
