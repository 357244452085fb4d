"""The decoder of GNMT: no layer waits for attention's last answer, so training runs fused over time."""

from __future__ import annotations

import torch
from torch import Tensor

from s2s_plugin.models.decoders.base import Decoder, DecoderState
from s2s_plugin.models.memory import Memory


class GNMTDecoder(Decoder):
    """The first layer asks, all upper layers get the answer (Wu et al. 2016, section 3; "GNMT v2").

    h1_t = RNN_1(e(y_{t-1}));  c_t = attention(h1_t);  hl_t = RNN_l([h(l-1)_t; c_t]);  f_t = tanh(W [c_t; hL_t]).

    A layer is one fused call over all target steps, and attention one call for all their questions. Only attention
    that remembers where it has looked is asked step by step.
    """

    @staticmethod
    def inputs(layer: int, embed_size: int, hidden_size: int, context_size: int) -> tuple[int, int]:
        return (embed_size if layer == 0 else hidden_size + context_size), 0

    def _step(
        self, embedded: Tensor, share: Tensor, state: DecoderState, memory: Memory
    ) -> tuple[DecoderState, Tensor, Tensor]:
        hidden, after = self.cells[0].step(share, None, state.layers[:, 0])
        hidden = self._output(0, hidden, hidden)
        layers = [after]
        context, weights, past = self.attention(hidden, memory, state.past)
        for layer, cell in enumerate(self.cells[1:], start=1):
            below = self._drop(hidden, state, layer - 1)
            hidden, after = cell.step(cell.project_inputs(torch.cat((below, context), 1)), None, state.layers[:, layer])
            hidden = self._output(layer, hidden, below)
            layers.append(after)
        features = self._features(state, context, hidden)
        return DecoderState(torch.stack(layers, 1), None, past, state.masks), features, weights

    def forward(self, embedded: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        state = self.initial_state(memory)
        outputs = self.cells[0].unroll(embedded, state.layers[:, 0])
        outputs = self._output(0, outputs, outputs)
        context, weights = self._ask(outputs, memory, state.past)
        for layer, cell in enumerate(self.cells[1:], start=1):
            below = self._drop(outputs, state, layer - 1)
            outputs = cell.unroll(torch.cat((below, context), 2), state.layers[:, layer])
            outputs = self._output(layer, outputs, below)
        return self._features(state, context, outputs), weights

    def _ask(self, queries: Tensor, memory: Memory, past: Tensor | None) -> tuple[Tensor, Tensor]:
        """Attention at T steps of B items: context B x T x D, weights B x T x S."""
        if self.attention.history is None:
            context, weights, _ = self.attention(queries.flatten(0, 1), memory)
            return context.unflatten(0, queries.shape[:2]), weights.unflatten(0, queries.shape[:2])
        contexts, attention = [], []
        for query in queries.unbind(1):
            context, weights, past = self.attention(query, memory, past)
            contexts.append(context)
            attention.append(weights)
        return torch.stack(contexts, 1), torch.stack(attention, 1)
