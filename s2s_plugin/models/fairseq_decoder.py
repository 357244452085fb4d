"""The target side as fairseq expects it: embedding, decoder and generator as a ``FairseqIncrementalDecoder``."""

from fairseq.data import Dictionary
from fairseq.models import FairseqIncrementalDecoder
from torch import Tensor

from s2s_plugin.models.decoders import Decoder
from s2s_plugin.models.embedding import Embedding
from s2s_plugin.models.generator import AnyGenerator
from s2s_plugin.models.memory import Memory


class Seq2SeqDecoder(FairseqIncrementalDecoder):
    """Map previous tokens to logits of the next token.

    Our search calls ``rnn.step`` directly; ``forward`` is for fairseq's own tools (its search, ensembles with other
    architectures, scoring).

    Attributes:
        cached_input_gates: V x G, the first layer's projected inputs for every token, if a search precomputes them.
    """

    cached_input_gates: Tensor | None

    def __init__(
        self, dictionary: Dictionary, embedding: Embedding, rnn: Decoder, generator: AnyGenerator, max_positions: int
    ):
        super().__init__(dictionary)
        self.embedding, self.rnn, self.generator = embedding, rnn, generator
        self.max_target_positions = max_positions
        self.register_buffer("cached_input_gates", None, persistent=False)

    def forward(
        self, prev_output_tokens: Tensor, encoder_out: Memory, incremental_state: dict | None = None, **_: object
    ) -> tuple[Tensor, dict]:
        """Return logits B x T x V (B x 1 x V incrementally) and {"attn": [attention weights B x T x S]}.

        Args:
            prev_output_tokens: B x T ids, first </s>; with ``incremental_state`` only the last column is read.
            encoder_out: the encoder's memory of B items.
            incremental_state: fairseq's cache between steps, or None for the whole target at once.
        """
        if incremental_state is None:
            memory = self.rnn.attention.precompute_keys(encoder_out)
            features, attention = self.rnn(self.embedding(prev_output_tokens), memory)
            return self.generator(features, attention, memory), {"attn": [attention]}

        cached = self.get_incremental_state(incremental_state, "step")
        if cached is None:
            memory = self.rnn.attention.precompute_keys(encoder_out)
            state = self.rnn.initial_state(memory)
        else:
            state, memory = cached["state"], encoder_out._replace(keys=cached["keys"])
        embedded = self.embedding(prev_output_tokens[:, -1])  # B x E
        state, features, attention = self.rnn.step(embedded, state, memory)
        self.set_incremental_state(incremental_state, "step", {"state": state, "keys": memory.keys})
        return self.generator(features, attention, memory).unsqueeze(1), {"attn": [attention.unsqueeze(1)]}

    def reorder_incremental_state(self, incremental_state: dict, new_order: Tensor) -> None:
        cached = self.get_incremental_state(incremental_state, "step")
        if cached is not None:
            state, keys = cached["state"].reorder(new_order), cached["keys"].index_select(0, new_order)
            self.set_incremental_state(incremental_state, "step", {"state": state, "keys": keys})

    def max_positions(self) -> int:
        return self.max_target_positions
