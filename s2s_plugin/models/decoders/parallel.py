"""The decoder of GNMT: no layer waits for attention's last answer, so training runs fused over time."""

from __future__ import annotations

import torch
from torch import Tensor

from s2s_plugin.models.decoders.base import Decoder, DecoderState
from s2s_plugin.models.memory import Memory


class ParallelDecoder(Decoder):
    """The first layer asks, all upper layers get the answer (Wu et al. 2016, section 3; "GNMT v2").

    h1_t = RNN_1(e(y_{t-1}));  c_t = attention(h1_t);  hl_t = RNN_l([h(l-1)_t; c_t]);  f_t = tanh(W [c_t; hL_t]).

    A layer is one fused call over all target steps, and attention one call for all their questions. Only attention
    that remembers where it has looked is asked step by step.
    """

    @staticmethod
    def inputs(layer: int, embed_size: int, hidden_size: int, context_size: int) -> tuple[int, int]:
        return (embed_size if layer == 0 else hidden_size + context_size), 0

    def step(self, embedded: Tensor, state: DecoderState, memory: Memory) -> tuple[DecoderState, Tensor, Tensor]:
        state, features, weights = self._run(embedded.unsqueeze(1), state, memory)
        return state, features.squeeze(1), weights.squeeze(1)

    def forward(self, embedded: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        _, features, weights = self._run(embedded, self.start(memory), memory)
        return features, weights

    def _run(self, embedded: Tensor, state: DecoderState, memory: Memory) -> tuple[DecoderState, Tensor, Tensor]:
        """T steps: N x T x E to the last state, features N x T x H and weights N x T x S."""
        outputs, after = self.cells[0].unroll(embedded, state.layers[:, 0])
        outputs = self._output(0, outputs, outputs)
        layers = [after]
        context, weights, past = self._ask(outputs, memory, state.past)
        for layer, cell in enumerate(self.cells[1:], start=1):
            below = self._drop(outputs, state, layer - 1)
            outputs, after = cell.unroll(torch.cat((below, context), 2), state.layers[:, layer])
            outputs = self._output(layer, outputs, below)
            layers.append(after)
        features = self._features(state, context, outputs)
        return DecoderState(torch.stack(layers, 1), None, past, state.masks), features, weights

    def _ask(self, queries: Tensor, memory: Memory, past: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Attention at T steps of N rows: context N x T x D, weights N x T x S, what is remembered."""
        if self.attention.history is None and len(queries) == len(memory.values):
            context, weights, _ = self.attention(queries.flatten(0, 1), memory)
            return context.unflatten(0, queries.shape[:2]), weights.unflatten(0, queries.shape[:2]), None
        contexts, attention = [], []
        for query in queries.unbind(1):
            context, weights, past = self.attention(query, memory, past)
            contexts.append(context)
            attention.append(weights)
        return torch.stack(contexts, 1), torch.stack(attention, 1), past
