"""Build the model's parts from its config."""

from fairseq.data import Dictionary
from torch import nn

from s2s_plugin.errors import UserError
from s2s_plugin.models.attention import build_attention
from s2s_plugin.models.config import Seq2SeqConfig, parse_cutoffs
from s2s_plugin.models.decoders import DECODERS
from s2s_plugin.models.embedding import Embedding
from s2s_plugin.models.encoders.base import Encoder
from s2s_plugin.models.encoders.cnn import ConvStack
from s2s_plugin.models.encoders.image import ImageEncoder
from s2s_plugin.models.encoders.rnn import RecurrentStack
from s2s_plugin.models.encoders.speech import SpeechEncoder, Subsampling
from s2s_plugin.models.encoders.text import TextEncoder
from s2s_plugin.models.encoders.video import CLIP_FRAMES, VideoEncoder
from s2s_plugin.models.fairseq_decoder import Seq2SeqDecoder
from s2s_plugin.models.generator import AdaptiveGenerator, AnyGenerator, Generator, PointerGenerator
from s2s_plugin.models.layers.dropout import Dropout


def build_encoder(cfg: Seq2SeqConfig, task) -> Encoder:
    """Build the encoder for the source of ``task``."""
    if task.source_dictionary is None:
        return SIGNAL_ENCODERS[task.modality](cfg, task.source_shape)
    embedding = _build_embedding(cfg, task.source_dictionary, cfg.encoder_embed_dim, cfg.encoder_embed_path)
    stack, positions = _build_stack(cfg, cfg.encoder_embed_dim), cfg.max_source_positions
    copy_dictionary = task.target_dictionary if cfg.pointer else None
    meanings = None
    if DECODERS[cfg.decoder_type].uses_meanings:
        meanings = Embedding(task.source_dictionary, cfg.decoder_hidden_size, _dropout(cfg))
    return TextEncoder(
        task.source_dictionary, embedding, stack, positions, copy_dictionary,
        cfg.encoder_factors, cfg.encoder_reversed, meanings, cfg.encoder_eos,
    )  # fmt: skip


def build_decoder(cfg: Seq2SeqConfig, encoder: Encoder, dictionary: Dictionary) -> Seq2SeqDecoder:
    """Build the decoder for the memory of ``encoder`` and a target dictionary."""
    if cfg.share_all_embeddings:
        embedding = getattr(encoder, "embedding", None)
        if not isinstance(embedding, Embedding):
            raise UserError(f"model.share_all_embeddings requires an encoder.embedding, and {type(encoder)} has none")
    else:
        embedding = _build_embedding(cfg, dictionary, cfg.decoder_embed_dim, cfg.decoder_embed_path)
    if DECODERS[cfg.decoder_type].uses_meanings and getattr(encoder, "meanings", None) is None:
        raise UserError(
            f"model.decoder_type={cfg.decoder_type} requires an encoder.meanings, and {type(encoder)} has none"
        )
    embed, hidden, layers = cfg.decoder_embed_dim, cfg.decoder_hidden_size, cfg.decoder_layers
    attention = build_attention(cfg.attention, hidden, encoder.value_size, cfg.attention_size, cfg.coverage)
    rnn = DECODERS[cfg.decoder_type](
        embed, hidden, layers, attention, encoder.final_shape,
        cfg.bridge, cfg.decoder_cell, _dropout(cfg), cfg.residual, cfg.layer_norm,
        cfg.decoder_readout, cfg.decoder_readout_bias,
    )  # fmt: skip
    generator = _build_generator(cfg, embedding, len(dictionary))
    return Seq2SeqDecoder(dictionary, embedding, rnn, generator, cfg.max_target_positions)


def _build_embedding(cfg: Seq2SeqConfig, dictionary: Dictionary, size: int, path: str) -> Embedding:
    return Embedding(dictionary, size, _dropout(cfg), path, cfg.freeze_embeddings, cfg.word_dropout)


def _build_generator(cfg: Seq2SeqConfig, embedding: Embedding, vocabulary_size: int) -> AnyGenerator:
    if cfg.adaptive_cutoffs:
        cutoffs = parse_cutoffs(cfg.adaptive_cutoffs, vocabulary_size)
        return AdaptiveGenerator(cfg.decoder_hidden_size, vocabulary_size, cutoffs)
    width = cfg.decoder_output_dim or cfg.decoder_embed_dim
    kind = PointerGenerator if cfg.pointer else Generator
    generator = kind(cfg.decoder_hidden_size, width, vocabulary_size, _dropout(cfg))
    if cfg.share_all_embeddings or cfg.share_decoder_input_output_embed:
        generator.output.weight = embedding.table.weight
    return generator


def _build_stack(cfg: Seq2SeqConfig, input_size: int) -> RecurrentStack:
    bidirectional = {"all": cfg.encoder_layers, "first": 1, "none": 0}[cfg.encoder_bidirectional]
    keep_cells = cfg.bridge == "copy" and cfg.decoder_cell == "lstm"
    return RecurrentStack(
        input_size, cfg.encoder_hidden_size, cfg.encoder_layers, bidirectional, _dropout(cfg),
        cfg.encoder_pyramid, cfg.encoder_cell, cfg.residual, cfg.layer_norm, keep_cells,
    )  # fmt: skip


def _build_speech(cfg: Seq2SeqConfig, shape: tuple[int, ...]) -> SpeechEncoder:
    subsampling = Subsampling(shape[0], cfg.encoder_channels, cfg.encoder_convolutions)
    return SpeechEncoder(subsampling, _build_stack(cfg, subsampling.output_size), cfg.max_source_positions)


def _build_video(cfg: Seq2SeqConfig, shape: tuple[int, ...]) -> VideoEncoder:
    cnn = ConvStack(CLIP_FRAMES, cfg.encoder_channels, cfg.encoder_convolutions)
    rows, columns = cnn.grid(shape)
    projection = nn.Linear(cnn.output_size * rows * columns, cfg.encoder_embed_dim)
    stack = _build_stack(cfg, cfg.encoder_embed_dim)
    return VideoEncoder(cnn, projection, stack, _dropout(cfg), cfg.max_source_positions)


def _build_image(cfg: Seq2SeqConfig, shape: tuple[int, ...]) -> ImageEncoder:
    cnn = ConvStack(shape[-1], cfg.encoder_channels, cfg.encoder_convolutions)
    return ImageEncoder(cnn, cfg.encoder_hidden_size, _dropout(cfg), cfg.max_source_positions)


def _dropout(cfg: Seq2SeqConfig) -> Dropout:
    return Dropout(cfg.dropout, cfg.locked_dropout)


# By modality; shapes: (mel channels,), (height, width) of a frame, (columns, channels).
SIGNAL_ENCODERS = {"audio": _build_speech, "video": _build_video, "image": _build_image}
