"""The decoder of Luong et al.: attention after the recurrence, and its answer fed to the next step."""

from __future__ import annotations

from torch import Tensor

from s2s_plugin.models.decoders.base import Decoder, DecoderState
from s2s_plugin.models.memory import Memory


class LuongDecoder(Decoder):
    """Luong et al. 2015, sections 3.1 and 3.3.

    h_t = RNN([e(y_{t-1}); f_{t-1}], h_{t-1});  c_t = attention(h_t);  f_t = tanh(W [c_t; h_t]).
    """

    @staticmethod
    def inputs(layer: int, embed_size: int, hidden_size: int, context_size: int) -> tuple[int, int]:
        return (embed_size if layer == 0 else 0), hidden_size

    def initial_state(self, memory: Memory) -> DecoderState:
        state = super().initial_state(memory)
        return state._replace(feed=state.layers.new_zeros(len(state.layers), state.layers.size(3)))

    def _step(
        self, embedded: Tensor, share: Tensor, state: DecoderState, memory: Memory
    ) -> tuple[DecoderState, Tensor, Tensor]:
        assert state.feed is not None
        hidden, layers = self._recur(share, state.feed, state)
        context, weights, past = self.attention(hidden, memory, state.past)
        features = self._features(state, context, hidden)
        return DecoderState(layers, features, past, state.masks), features, weights
