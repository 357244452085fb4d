"""Attention: where in the source the decoder looks while it writes the next symbol."""

from __future__ import annotations

from s2s_plugin.models.attention.additive import AdditiveAttention, NormalizedAdditiveAttention
from s2s_plugin.models.attention.base import Attention, NoAttention
from s2s_plugin.models.attention.dot import (
    DotAttention,
    GeneralAttention,
    LocalAttention,
    ScaledDotAttention,
)
from s2s_plugin.models.attention.history import build_history
from s2s_plugin.models.attention.multi_head import MultiHeadAttention

ATTENTIONS: dict[str, type[Attention]] = {
    "none": NoAttention,
    "dot": DotAttention,
    "scaled_dot": ScaledDotAttention,
    "general": GeneralAttention,
    "additive": AdditiveAttention,
    "normalized": NormalizedAdditiveAttention,
    "location": AdditiveAttention,  # which remembers where it looked last
    "multi_head": MultiHeadAttention,
    "local": LocalAttention,
}


def build_attention(kind: str, query_size: int, value_size: int, size: int, coverage: str = "none") -> Attention:
    """A kind of ``ATTENTIONS``, with a coverage of ``COVERAGES``."""
    history = build_history(kind == "location", coverage, query_size, value_size)
    return ATTENTIONS[kind](query_size, value_size, size, history)
