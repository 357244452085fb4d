"""The spine: P(Y|X) = prod_t P(y_t | X, y_<t), source -> memory -> features -> scores."""

from dataclasses import dataclass, field
from typing import Any

from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from fairseq.models import FairseqEncoderDecoderModel, register_model
from omegaconf import II
from torch import Tensor, nn

from s2s_plugin.errors import UserError
from s2s_plugin.models.attention import ATTENTIONS
from s2s_plugin.models.decoder import Decoder
from s2s_plugin.models.embedding import Embedding
from s2s_plugin.models.encoders.base import Encoder
from s2s_plugin.models.encoders.build import SIGNAL_ENCODERS, build_stack
from s2s_plugin.models.encoders.text import TextEncoder
from s2s_plugin.models.generator import Generator
from s2s_plugin.models.memory import Memory
from s2s_plugin.models.text_decoder import TextDecoder


@dataclass
class Seq2SeqConfig(FairseqDataclass):
    """Sizes and choices of the model; the defaults are the architecture ``s2s``."""

    encoder_embed_dim: int = field(default=256, metadata={"help": "width of a source embedding"})
    encoder_hidden_size: int = field(
        default=512, metadata={"help": "width of a memory value; two directions of half of it"}
    )
    encoder_layers: int = field(default=1, metadata={"help": "number of encoder layers"})
    encoder_unidirectional: bool = field(default=False, metadata={"help": "read the source left to right only"})
    encoder_pyramid: int = field(
        default=0, metadata={"help": "upper encoder layers that read two steps at once, halving the number of steps"}
    )
    encoder_channels: int = field(default=32, metadata={"help": "speech, video, image: channels of convolution 1"})
    encoder_convolutions: int = field(
        default=2, metadata={"help": "speech, video, image: strided convolutions; each halves what it reads"}
    )
    ctc: bool = field(default=False, metadata={"help": "let the memory spell the target too, for a CTC loss"})
    attention: ChoiceEnum(list(ATTENTIONS)) = field(  # type: ignore[valid-type]
        default="general", metadata={"help": "how the decoder compares its state with the memory"}
    )
    attention_size: int = field(default=128, metadata={"help": "width of that comparison, in additive kinds"})
    decoder_embed_dim: int = field(default=256, metadata={"help": "width of a target embedding"})
    decoder_hidden_size: int = field(default=512, metadata={"help": "width of a decoder state"})
    decoder_layers: int = field(default=1, metadata={"help": "number of decoder layers"})
    dropout: float = field(default=0.2, metadata={"help": "dropout on embeddings and between layers"})
    share_decoder_input_output_embed: bool = field(
        default=False, metadata={"help": "the generator's table is the target embedding's"}
    )
    share_all_embeddings: bool = field(
        default=False, metadata={"help": "one table for source, target and generator; needs a joint dictionary"}
    )
    max_source_positions: int = II("task.max_source_positions")
    max_target_positions: int = II("task.max_target_positions")


@register_model("s2s", dataclass=Seq2SeqConfig)
class Seq2SeqModel(FairseqEncoderDecoderModel):
    """Embedding -> Encoder -> Decoder (attention, input feeding) -> Generator."""

    encoder: Encoder
    decoder: TextDecoder

    def __init__(self, encoder: Encoder, decoder: TextDecoder, ctc: nn.Linear | None = None):
        super().__init__(encoder, decoder)
        self.ctc = ctc

    @classmethod
    def build_model(cls, cfg: Seq2SeqConfig, task) -> "Seq2SeqModel":
        """Model of the given sizes for the dictionaries of ``task``.

        Raises:
            UserError: a value out of range, or tables that cannot be shared.
        """
        source, target = task.source_dictionary, task.target_dictionary
        _check(cfg, source, target)

        if source is None:
            encoder = SIGNAL_ENCODERS[task.modality](cfg, task.source_shape)
        else:
            source_embedding = Embedding(source, cfg.encoder_embed_dim, cfg.dropout)
            stack = build_stack(cfg, cfg.encoder_embed_dim)
            encoder = TextEncoder(source, source_embedding, stack, cfg.max_source_positions)
        shared = cfg.share_all_embeddings
        target_embedding = source_embedding if shared else Embedding(target, cfg.decoder_embed_dim, cfg.dropout)
        recurrence = Decoder(
            cfg.decoder_embed_dim,
            cfg.decoder_hidden_size,
            cfg.decoder_layers,
            encoder.value_size,
            encoder.summary_size,
            cfg.dropout,
            cfg.attention,
            cfg.attention_size,
        )
        tied = shared or cfg.share_decoder_input_output_embed
        generator = Generator(cfg.decoder_hidden_size, cfg.decoder_embed_dim, len(target), cfg.dropout)
        if tied:
            generator.output.weight = target_embedding.table.weight
        decoder = TextDecoder(target, target_embedding, recurrence, generator, cfg.max_target_positions)
        return cls(encoder, decoder, nn.Linear(encoder.value_size, len(target)) if cfg.ctc else None)

    def forward(self, src_tokens: Tensor, src_lengths: Tensor, prev_output_tokens: Tensor) -> tuple[Tensor, dict]:
        """Score a known target (teacher forcing).

        Args:
            src_tokens: B x S ids (or B x S x ... features), padded on the right.
            src_lengths: B.
            prev_output_tokens: B x T ids of the symbol before each target position, first </s>.

        Returns:
            logits B x T x V, and besides: "attn", [attention weights B x T x S]; with a CTC layer "ctc", its logits
            B x S x V, and "padding_mask" B x S.
        """
        memory = self.encode(src_tokens, src_lengths)
        embedded = self.decoder.embedding(prev_output_tokens)  # B x T x E
        features, attention = self.decoder.recurrence(embedded, memory)  # B x T x H
        besides: dict[str, Any] = {"attn": [attention]}
        if self.ctc is not None:
            besides |= {"ctc": self.ctc(memory.values), "padding_mask": memory.padding_mask}
        return self.decoder.generator(features), besides

    def encode(self, src_tokens: Tensor, src_lengths: Tensor) -> Memory:
        """Source to a memory that is ready for ``decoder.recurrence.step``."""
        return self.decoder.recurrence.prepare(self.encoder(src_tokens, src_lengths))


def _check(cfg: Seq2SeqConfig, source, target) -> None:
    """Refuse what would fail later, deep inside torch."""
    for name in ("encoder_embed_dim", "encoder_hidden_size", "encoder_layers", "decoder_embed_dim",
                 "decoder_hidden_size", "decoder_layers", "encoder_channels", "attention_size"):  # fmt: skip
        if getattr(cfg, name) < 1:
            raise UserError(f"model.{name} is {getattr(cfg, name)}: give a number of at least 1")
    if not 0 <= cfg.encoder_pyramid < cfg.encoder_layers:
        raise UserError(
            f"model.encoder_pyramid is {cfg.encoder_pyramid}: give a number from 0 to below "
            f"model.encoder_layers={cfg.encoder_layers}"
        )
    if cfg.encoder_convolutions < 0:
        raise UserError(f"model.encoder_convolutions is {cfg.encoder_convolutions}: give a number of at least 0")
    if not 0 <= cfg.dropout < 1:
        raise UserError(f"model.dropout is {cfg.dropout}: give a number from 0 to below 1")
    if cfg.encoder_hidden_size % 2 and not cfg.encoder_unidirectional:
        raise UserError(
            f"model.encoder_hidden_size is {cfg.encoder_hidden_size}: two directions share it, give an even number"
        )
    if cfg.share_all_embeddings:
        if source is None or source != target:
            raise UserError(
                "model.share_all_embeddings needs one dictionary for both sides: "
                "prepare with a joint vocabulary (subword.joint=true), or set it to false"
            )
        if cfg.encoder_embed_dim != cfg.decoder_embed_dim:
            raise UserError(
                f"model.share_all_embeddings with widths {cfg.encoder_embed_dim} and {cfg.decoder_embed_dim}: "
                "give model.encoder_embed_dim and model.decoder_embed_dim the same value"
            )
