"""The decoder of Bahdanau et al.: attention before the recurrence."""

from torch import Tensor

from s2s_plugin.models.decoders.base import Decoder, DecoderState, DecoderStep
from s2s_plugin.models.memory import Memory


class BahdanauDecoder(Decoder):
    """Attend with the previous hidden state (Bahdanau et al. 2015, section 3.1, appendix A.2.2; tanh for maxout).

    c_t = attention(h_{t-1});  h_t = RNN([e(y_{t-1}); c_t], h_{t-1});  f_t = tanh(W [c_t; h_t; e(y_{t-1})]).
    """

    uses_embedding_in_readout = True

    @staticmethod
    def input_sizes(layer: int, embed_size: int, hidden_size: int, context_size: int) -> tuple[int, int]:
        return (embed_size, context_size) if layer == 0 else (0, hidden_size)

    def _step(self, embedded: Tensor, input_gates: Tensor, state: DecoderState, memory: Memory) -> DecoderStep:
        context, weights, attn_state = self.attention(state.layers[:, -1, 0], memory, state.attn_state)
        hidden, layers = self._run_layers(input_gates, context, state)
        features = self._features(state, context, hidden, embedded)
        return DecoderState(layers, None, attn_state, state.masks), features, weights
