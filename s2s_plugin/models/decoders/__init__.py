"""Decoder styles: when attention is asked, and where its answer goes."""

from s2s_plugin.models.decoders.bahdanau import ConditionalDecoder
from s2s_plugin.models.decoders.base import Decoder, DecoderState
from s2s_plugin.models.decoders.gnmt import ParallelDecoder
from s2s_plugin.models.decoders.luong import InputFeedingDecoder

DECODERS: dict[str, type[Decoder]] = {
    "input_feeding": InputFeedingDecoder,
    "conditional": ConditionalDecoder,
    "parallel": ParallelDecoder,
}

__all__ = ["DECODERS", "Decoder", "DecoderState"]
