"""The decoder of Russin et al.: the recurrence knows where to look, the words there say what to write."""

import torch
from torch import Tensor

from s2s_plugin.models.decoders.base import Decoder, DecoderState, DecoderStep
from s2s_plugin.models.memory import Memory


class SyntacticDecoder(Decoder):
    """Separate syntax from semantics (Russin et al. 2019, section 3.3, equations 3 to 7).

    h_t = RNN(c_{t-1}, h_{t-1});  c_t = sum_s a_ts m_s = attention(h_t);  f_t = sum_s a_ts M[x_s].

    Attention and the recurrence read the encoder's states m_s alone, and outputs depend on the meanings M[x_s] alone,
    an embedding of the words without their context. So a word trained in few contexts works in those of others.
    Previous target tokens are not read: there is no model of the target language.
    """

    uses_meanings = True

    @staticmethod
    def input_sizes(layer: int, embed_size: int, hidden_size: int, context_size: int) -> tuple[int, int]:
        return 0, context_size if layer == 0 else hidden_size

    def initial_state(self, memory: Memory) -> DecoderState:
        state = super().initial_state(memory)
        return state._replace(feed=memory.values.new_zeros(memory.values.size(0), self.attention.context_size))

    def _step(self, embedded: Tensor, input_gates: Tensor, state: DecoderState, memory: Memory) -> DecoderStep:
        assert state.feed is not None
        assert memory.meanings is not None
        hidden, layers = self._run_layers(input_gates, state.feed, state)
        context, weights, attn_state = self.attention(hidden, memory, state.attn_state)
        per_item = weights.view(memory.meanings.size(0), -1, weights.size(-1))  # B x K x S
        features = torch.bmm(per_item, memory.meanings).flatten(0, 1)
        return DecoderState(layers, context, attn_state, state.masks), features, weights
