"""The decoder of Bahdanau et al.: attention before the recurrence."""

from __future__ import annotations

from torch import Tensor

from s2s_plugin.models.decoders.base import Decoder, DecoderState
from s2s_plugin.models.memory import Memory


class BahdanauDecoder(Decoder):
    """Bahdanau et al. 2015, section 3.1 and appendix A.2.2, with tanh for maxout in the readout.

    c_t = attention(h_{t-1});  h_t = RNN([e(y_{t-1}); c_t], h_{t-1});  f_t = tanh(W [c_t; h_t; e(y_{t-1})]).
    """

    reads_embedding = True

    @staticmethod
    def inputs(layer: int, embed_size: int, hidden_size: int, context_size: int) -> tuple[int, int]:
        return (embed_size, context_size) if layer == 0 else (0, hidden_size)

    def _step(
        self, embedded: Tensor, share: Tensor, state: DecoderState, memory: Memory
    ) -> tuple[DecoderState, Tensor, Tensor]:
        context, weights, past = self.attention(state.layers[:, -1, 0], memory, state.past)
        hidden, layers = self._recur(share, context, state)
        features = self._features(state, context, hidden, embedded)
        return DecoderState(layers, None, past, state.masks), features, weights
