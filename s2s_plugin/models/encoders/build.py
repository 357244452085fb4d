"""Encoders from the model's config, for each kind of source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from s2s_plugin.models.encoders.image import ImageEncoder
from s2s_plugin.models.encoders.picture import PictureStack
from s2s_plugin.models.encoders.recurrent import RecurrentStack
from s2s_plugin.models.encoders.speech import SpeechEncoder, Subsampling
from s2s_plugin.models.encoders.video import NEIGHBOURS, VideoEncoder

if TYPE_CHECKING:
    from s2s_plugin.models.seq2seq import Seq2SeqConfig


def build_stack(cfg: Seq2SeqConfig, input_size: int) -> RecurrentStack:
    return RecurrentStack(
        input_size,
        cfg.encoder_hidden_size,
        cfg.encoder_layers,
        not cfg.encoder_unidirectional,
        cfg.dropout,
        cfg.encoder_pyramid,
    )


def build_speech(cfg: Seq2SeqConfig, shape: tuple[int, ...]) -> SpeechEncoder:
    """``shape``: (mel channels,)."""
    subsampling = Subsampling(shape[0], cfg.encoder_channels, cfg.encoder_convolutions)
    return SpeechEncoder(subsampling, build_stack(cfg, subsampling.output_size), cfg.max_source_positions)


def build_video(cfg: Seq2SeqConfig, shape: tuple[int, ...]) -> VideoEncoder:
    """``shape``: (height, width) of a frame."""
    pictures = PictureStack(2 * NEIGHBOURS + 1, cfg.encoder_channels, cfg.encoder_convolutions)
    cells = _reduced(shape[0], pictures.reduction) * _reduced(shape[1], pictures.reduction)
    projection = nn.Linear(pictures.output_size * cells, cfg.encoder_embed_dim)
    stack = build_stack(cfg, cfg.encoder_embed_dim)
    return VideoEncoder(pictures, projection, stack, cfg.dropout, cfg.max_source_positions)


def build_image(cfg: Seq2SeqConfig, shape: tuple[int, ...]) -> ImageEncoder:
    """``shape``: (columns, 3)."""
    pictures = PictureStack(shape[-1], cfg.encoder_channels, cfg.encoder_convolutions)
    return ImageEncoder(pictures, cfg.encoder_hidden_size, cfg.dropout, cfg.max_source_positions)


def _reduced(size: int, reduction: int) -> int:
    """Height or width after strided convolutions, which round up."""
    return -(-size // reduction)


SIGNAL_ENCODERS = {"audio": build_speech, "video": build_video, "image": build_image}
