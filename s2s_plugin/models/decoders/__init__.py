"""Decoder types: where attention is applied and where its context goes."""

from s2s_plugin.models.decoders.bahdanau import BahdanauDecoder
from s2s_plugin.models.decoders.base import Decoder, DecoderState
from s2s_plugin.models.decoders.gnmt import GNMTDecoder
from s2s_plugin.models.decoders.luong import LuongDecoder
from s2s_plugin.models.decoders.syntactic import SyntacticDecoder

DECODERS: dict[str, type[Decoder]] = {
    "luong": LuongDecoder,
    "bahdanau": BahdanauDecoder,
    "gnmt": GNMTDecoder,
    "syntactic": SyntacticDecoder,
}

__all__ = ["DECODERS", "Decoder", "DecoderState"]
