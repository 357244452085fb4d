"""The spine: P(Y|X) = prod_t P(y_t | X, y_<t), source -> memory -> features -> scores."""

from dataclasses import dataclass, field

from fairseq.dataclass import FairseqDataclass
from fairseq.models import FairseqEncoderDecoderModel, register_model
from omegaconf import II
from torch import Tensor

from s2s_plugin.errors import UserError
from s2s_plugin.models.decoder import Decoder
from s2s_plugin.models.embedding import Embedding
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

    encoder: TextEncoder
    decoder: TextDecoder

    @classmethod
    def build_model(cls, cfg: Seq2SeqConfig, task) -> "Seq2SeqModel":
        """Model of the given sizes for the dictionaries of ``task``.

        Raises:
            UserError: a value out of range, or tables that cannot be shared.
        """
        source, target = task.source_dictionary, task.target_dictionary
        _check(cfg, source, target)

        source_embedding = Embedding(source, cfg.encoder_embed_dim, cfg.dropout)
        encoder = TextEncoder(
            source,
            source_embedding,
            cfg.encoder_hidden_size,
            cfg.encoder_layers,
            not cfg.encoder_unidirectional,
            cfg.dropout,
            cfg.max_source_positions,
        )
        shared = cfg.share_all_embeddings
        target_embedding = source_embedding if shared else Embedding(target, cfg.decoder_embed_dim, cfg.dropout)
        recurrence = Decoder(
            cfg.decoder_embed_dim,
            cfg.decoder_hidden_size,
            cfg.decoder_layers,
            encoder.value_size,
            encoder.summary_size,
            cfg.dropout,
        )
        tied = shared or cfg.share_decoder_input_output_embed
        generator = Generator(cfg.decoder_hidden_size, cfg.decoder_embed_dim, len(target))
        if tied:
            generator.output.weight = target_embedding.table.weight
        return cls(encoder, TextDecoder(target, target_embedding, recurrence, generator, cfg.max_target_positions))

    def forward(self, src_tokens: Tensor, src_lengths: Tensor, prev_output_tokens: Tensor) -> tuple[Tensor, dict]:
        """Score a known target (teacher forcing).

        Args:
            src_tokens: B x S ids (or B x S x ... features), padded on the right.
            src_lengths: B.
            prev_output_tokens: B x T ids of the symbol before each target position, first </s>.

        Returns:
            logits B x T x V, {"attn": [attention weights B x T x S]}.
        """
        memory = self.encode(src_tokens, src_lengths)
        embedded = self.decoder.embedding(prev_output_tokens)  # B x T x E
        features, attention = self.decoder.recurrence(embedded, memory)  # B x T x H
        return self.decoder.generator(features), {"attn": [attention]}

    def encode(self, src_tokens: Tensor, src_lengths: Tensor) -> Memory:
        """Source to a memory that is ready for ``decoder.recurrence.step``."""
        return self.decoder.recurrence.prepare(self.encoder(src_tokens, src_lengths))


def _check(cfg: Seq2SeqConfig, source, target) -> None:
    """Refuse what would fail later, deep inside torch."""
    for name in ("encoder_embed_dim", "encoder_hidden_size", "encoder_layers", "decoder_embed_dim",
                 "decoder_hidden_size", "decoder_layers"):  # fmt: skip
        if getattr(cfg, name) < 1:
            raise UserError(f"model.{name} is {getattr(cfg, name)}: give a number of at least 1")
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
