"""Decoder styles: when attention is asked, and where its answer goes."""

from s2s_plugin.models.decoders.base import Decoder, DecoderState
from s2s_plugin.models.decoders.conditional import ConditionalDecoder
from s2s_plugin.models.decoders.input_feeding import InputFeedingDecoder
from s2s_plugin.models.decoders.parallel import ParallelDecoder

DECODERS: dict[str, type[Decoder]] = {
    "input_feeding": InputFeedingDecoder,
    "conditional": ConditionalDecoder,
    "parallel": ParallelDecoder,
}

__all__ = ["DECODERS", "Decoder", "DecoderState"]
