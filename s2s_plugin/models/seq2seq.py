"""The spine: P(Y|X) = prod_t P(y_t | X, y_<t), source -> memory -> features -> logits."""

from fairseq.models import FairseqEncoderDecoderModel, register_model
from torch import Tensor, nn

from s2s_plugin.compat import ReplaceUnkMixin
from s2s_plugin.models.build import build_decoder, build_encoder
from s2s_plugin.models.config import Seq2SeqConfig, check
from s2s_plugin.models.encoders.base import Encoder
from s2s_plugin.models.fairseq_decoder import Seq2SeqDecoder
from s2s_plugin.models.memory import Memory


@register_model("s2s", dataclass=Seq2SeqConfig)
class Seq2SeqModel(ReplaceUnkMixin, FairseqEncoderDecoderModel):
    """Embedding -> Encoder -> Decoder (with attention) -> Generator."""

    encoder: Encoder
    decoder: Seq2SeqDecoder

    def __init__(self, encoder: Encoder, decoder: Seq2SeqDecoder, ctc: nn.Linear | None = None):
        super().__init__(encoder, decoder)
        self.ctc = ctc

    @classmethod
    def build_model(cls, cfg: Seq2SeqConfig, task) -> "Seq2SeqModel":
        """Build a model for the dictionaries of ``task``.

        Raises:
            UserError: an option is out of range, or two exclude each other.
        """
        check(cfg, task.source_dictionary, task.target_dictionary)
        encoder = cls.build_encoder(cfg, task)
        decoder = build_decoder(cfg, encoder, task.target_dictionary)
        ctc = nn.Linear(encoder.value_size, len(task.target_dictionary)) if cfg.ctc else None
        return cls(encoder, decoder, ctc)

    @classmethod
    def build_encoder(cls, cfg: Seq2SeqConfig, task) -> Encoder:
        """Build the encoder; a model with another one overrides this."""
        return build_encoder(cfg, task)

    def forward(
        self, src_tokens: Tensor, src_lengths: Tensor, prev_output_tokens: Tensor, features_only: bool = False
    ) -> tuple[Tensor, dict]:
        """Return the logits of a target (teacher forcing).

        Args:
            src_tokens: B x S ids (or B x S x ... features), padded on the right.
            src_lengths: B.
            prev_output_tokens: N x T ids of the token before each target position, first </s>; N = B, or B * K with
                the K targets of an item adjacent.
            features_only: return the generator's input instead of its output.

        Returns:
            logits N x T x V (or features N x T x H), and extra outputs: "attn", [attention weights N x T x S]; with a
            CTC head "ctc", its logits N x S x V, and "padding_mask" N x S.
        """
        memory = self.encode(src_tokens, src_lengths)
        if len(prev_output_tokens) != len(src_tokens):
            memory = memory.repeat(len(prev_output_tokens) // len(src_tokens))
        embedded = self.decoder.embedding(prev_output_tokens)  # N x T x E
        features, attention = self.decoder.rnn(embedded, memory)  # N x T x H
        extra: dict = {"attn": [attention]}
        if self.ctc is not None:
            extra |= {"ctc": self.ctc(memory.values), "padding_mask": memory.padding_mask}
        return (features if features_only else self.decoder.generator(features, attention, memory)), extra

    def encode(self, src_tokens: Tensor, src_lengths: Tensor) -> Memory:
        """Encode the source as a memory ready for ``decoder.rnn.step``."""
        return self.decoder.rnn.attention.precompute_keys(self.encoder(src_tokens, src_lengths))
