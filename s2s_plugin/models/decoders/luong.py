"""The decoder of Luong et al.: attention after the recurrence, with input feeding."""

from torch import Tensor

from s2s_plugin.models.decoders.base import Decoder, DecoderState, DecoderStep
from s2s_plugin.models.memory import Memory


class LuongDecoder(Decoder):
    """Attend with the new hidden state and feed the features to the next step (Luong et al. 2015, sections 3.1, 3.3).

    h_t = RNN([e(y_{t-1}); f_{t-1}], h_{t-1});  c_t = attention(h_t);  f_t = tanh(W [c_t; h_t]).
    """

    @staticmethod
    def input_sizes(layer: int, embed_size: int, hidden_size: int, context_size: int) -> tuple[int, int]:
        return (embed_size if layer == 0 else 0), hidden_size

    def initial_state(self, memory: Memory) -> DecoderState:
        state = super().initial_state(memory)
        return state._replace(feed=state.layers.new_zeros(memory.values.size(0), state.layers.size(3)))

    def _step(self, embedded: Tensor, input_gates: Tensor, state: DecoderState, memory: Memory) -> DecoderStep:
        assert state.feed is not None
        hidden, layers = self._run_layers(input_gates, state.feed, state)
        context, weights, attn_state = self.attention(hidden, memory, state.attn_state)
        features = self._features(state, context, hidden)
        return DecoderState(layers, features, attn_state, state.masks), features, weights
