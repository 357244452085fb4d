"""The decoder of GNMT: no layer depends on the previous step's context, so training is fused over time."""

import torch
from torch import Tensor

from s2s_plugin.models.decoders.base import Decoder, DecoderState, DecoderStep
from s2s_plugin.models.memory import Memory


class GNMTDecoder(Decoder):
    """Attend with the first layer and feed the context to all upper layers (Wu et al. 2016, section 3; "GNMT v2").

    h1_t = RNN_1(e(y_{t-1}));  c_t = attention(h1_t);  hl_t = RNN_l([h(l-1)_t; c_t]);  f_t = tanh(W [c_t; hL_t]).

    In training, each layer is one fused call over all target steps, and attention is one call for all queries. Only
    attention with a history runs step by step.
    """

    @staticmethod
    def input_sizes(layer: int, embed_size: int, hidden_size: int, context_size: int) -> tuple[int, int]:
        return (embed_size if layer == 0 else hidden_size + context_size), 0

    def _step(self, embedded: Tensor, input_gates: Tensor, state: DecoderState, memory: Memory) -> DecoderStep:
        hidden, first_state = self.cells[0].step(input_gates, None, state.layers[:, 0])
        hidden, states = self._output(0, hidden, hidden), [first_state]
        context, weights, attn_state = self.attention(hidden, memory, state.attn_state)
        for layer, cell in enumerate(self.cells[1:], start=1):
            layer_input = self._drop(hidden, state, layer - 1)
            gates = cell.project_inputs(torch.cat((layer_input, context), 1))
            hidden, next_state = cell.step(gates, None, state.layers[:, layer])
            hidden = self._output(layer, hidden, layer_input)
            states.append(next_state)
        features = self._features(state, context, hidden)
        return DecoderState(torch.stack(states, 1), None, attn_state, state.masks), features, weights

    def forward(self, embedded: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        state = self.initial_state(memory)
        outputs = self.cells[0].unroll(embedded, state.layers[:, 0])
        outputs = self._output(0, outputs, outputs)
        context, weights = self._attend(outputs, memory, state.attn_state)
        for layer, cell in enumerate(self.cells[1:], start=1):
            layer_input = self._drop(outputs, state, layer - 1)
            outputs = cell.unroll(torch.cat((layer_input, context), 2), state.layers[:, layer])
            outputs = self._output(layer, outputs, layer_input)
        return self._features(state, context, outputs), weights

    def _attend(self, queries: Tensor, memory: Memory, attn_state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Attend with B x T x H queries: context B x T x D, weights B x T x S."""
        if self.attention.history is None:
            context, weights, _ = self.attention(queries.flatten(0, 1), memory)
            return context.unflatten(0, queries.shape[:2]), weights.unflatten(0, queries.shape[:2])
        outputs = []
        for query in queries.unbind(1):
            *output, attn_state = self.attention(query, memory, attn_state)
            outputs.append(output)
        context, weights = (torch.stack(steps, 1) for steps in zip(*outputs, strict=True))
        return context, weights
