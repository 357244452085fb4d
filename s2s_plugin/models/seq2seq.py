"""The spine: P(Y|X) = prod_t P(y_t | X, y_<t), source -> memory -> features -> scores."""

from typing import Any

from fairseq.models import FairseqEncoderDecoderModel, register_model
from torch import Tensor, nn

from s2s_plugin.compat import mend_replace_unk
from s2s_plugin.models.build import build_decoder, build_encoder
from s2s_plugin.models.config import Seq2SeqConfig, check
from s2s_plugin.models.encoders.base import Encoder
from s2s_plugin.models.fairseq_decoder import Seq2SeqDecoder
from s2s_plugin.models.memory import Memory


@register_model("s2s", dataclass=Seq2SeqConfig)
class Seq2SeqModel(FairseqEncoderDecoderModel):
    """Embedding -> Encoder -> Decoder (with attention) -> Generator."""

    encoder: Encoder
    decoder: Seq2SeqDecoder

    def __init__(self, encoder: Encoder, decoder: Seq2SeqDecoder, ctc: nn.Linear | None = None):
        super().__init__(encoder, decoder)
        self.ctc = ctc

    @classmethod
    def build_model(cls, cfg: Seq2SeqConfig, task) -> "Seq2SeqModel":
        """Model of the given sizes for the dictionaries of ``task``.

        Raises:
            UserError: a value out of range, or choices that do not go together.
        """
        check(cfg, task.source_dictionary, task.target_dictionary)
        encoder = build_encoder(cfg, task)
        decoder = build_decoder(cfg, encoder, task.target_dictionary)
        ctc = nn.Linear(encoder.value_size, len(task.target_dictionary)) if cfg.ctc else None
        cfg.encoder_embed_path = cfg.decoder_embed_path = ""  # the checkpoint will have the vectors, not the files
        return cls(encoder, decoder, ctc)

    def forward(
        self, src_tokens: Tensor, src_lengths: Tensor, prev_output_tokens: Tensor, features_only: bool = False
    ) -> tuple[Tensor, dict]:
        """Score a known target (teacher forcing).

        Args:
            src_tokens: B x S ids (or B x S x ... features), padded on the right.
            src_lengths: B.
            prev_output_tokens: B x T ids of the symbol before each target position, first </s>; or N x T, N = B * K,
                with the K targets of an item together: N is then B in what is returned.
            features_only: return the generator's input instead of its output.

        Returns:
            logits B x T x V (or features B x T x H), and besides: "attn", [attention weights B x T x S]; with a CTC
            layer "ctc", its logits B x S x V, and "padding_mask" B x S.
        """
        memory = self.encode(src_tokens, src_lengths)
        if len(prev_output_tokens) != len(src_tokens):
            memory = memory.repeat(len(prev_output_tokens) // len(src_tokens))
        embedded = self.decoder.embedding(prev_output_tokens)  # B x T x E
        features, attention = self.decoder.rnn(embedded, memory)  # B x T x H
        besides: dict[str, Any] = {"attn": [attention]}
        if self.ctc is not None:
            besides |= {"ctc": self.ctc(memory.values), "padding_mask": memory.padding_mask}
        if features_only:
            return features, besides
        return self.decoder.generator(features, attention, memory), besides

    def encode(self, src_tokens: Tensor, src_lengths: Tensor) -> Memory:
        """Source to a memory that is ready for ``decoder.rnn.step``."""
        return self.decoder.rnn.precompute_keys(self.encoder(src_tokens, src_lengths))

    def prepare_for_inference_(self, cfg) -> None:
        """fairseq's commands call it with all they were told, before they make use of it."""
        mend_replace_unk(cfg)
        super().prepare_for_inference_(cfg)
