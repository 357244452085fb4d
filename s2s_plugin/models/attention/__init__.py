"""Attention: weigh the memory for the decoder's current state."""

import inspect
from collections.abc import Callable

import torch

from s2s_plugin.errors import UserError
from s2s_plugin.models.attention.additive import AdditiveAttention, NormalizedAdditiveAttention
from s2s_plugin.models.attention.base import Attention, NoAttention
from s2s_plugin.models.attention.dot import DotAttention, GeneralAttention
from s2s_plugin.models.attention.history import HISTORIES
from s2s_plugin.models.attention.multi_head import MultiHeadAttention

SMALL = 8  # width of an attention that is built to look at its parts
ATTENTIONS: dict[str, type[Attention]] = {
    "none": NoAttention,
    "dot": DotAttention,
    "general": GeneralAttention,
    "additive": AdditiveAttention,
    "normalized": NormalizedAdditiveAttention,
    "location": AdditiveAttention,  # with a LocationHistory
    "multi_head": MultiHeadAttention,
}


def register_attention(name: str) -> Callable[[type[Attention]], type[Attention]]:
    """Return a decorator that makes a subclass of :class:`Attention` the ``model.attention`` of this name.

    Raises:
        ValueError: the name is taken.
        UserError: the class cannot serve as an attention.
    """

    def register(kind: type[Attention]) -> type[Attention]:
        check_kind(name, kind)
        if ATTENTIONS.setdefault(name, kind) is not kind:
            raise ValueError(f"cannot register duplicate attention ({name})")
        return kind

    return register


def check_kind(name: str, kind: object) -> None:
    """Raise UserError if a class lacks what the decoder calls; its formulas show when it is used."""
    rule = f"the attention {name} ({getattr(kind, '__name__', kind)}) must"
    if not (isinstance(kind, type) and issubclass(kind, Attention)):
        raise UserError(f"{rule} be a subclass of s2s_plugin.models.attention.Attention")
    if kind.score is Attention.score and kind.forward is Attention.forward:
        raise UserError(f"{rule} define score(query, memory, history_features)")
    try:
        inspect.signature(kind).bind(8, 8, 8, None)
    except TypeError as error:
        raise UserError(f"{rule} take (query_size, value_size, size, history=None) in __init__: {error}") from None


def check_coverage(kind: str, coverage: str) -> None:
    """Raise UserError if a kind cannot have a coverage, without a change of torch's random numbers."""
    if coverage != "none":
        with torch.random.fork_rng(devices=[]):
            build_attention(kind, *(SMALL,) * 3, coverage)


def build_attention(kind: str, query_size: int, value_size: int, size: int, coverage: str = "none") -> Attention:
    """Build an attention of a kind in ``ATTENTIONS`` with a coverage in ``COVERAGES``.

    Raises:
        UserError: this kind has no projection of coverage features.
    """
    name = "location" if kind == "location" else coverage
    history = None if name == "none" else HISTORIES[name](query_size, value_size)
    attention = ATTENTIONS[kind](query_size, value_size, size, history)
    if history is not None and not hasattr(attention, "history_proj"):
        raise UserError(f"model.attention={kind} has no history_proj for model.coverage={coverage}: leave coverage out")
    return attention
