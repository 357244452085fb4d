"""Attention: weigh the memory for the decoder's current state."""

from collections.abc import Callable

from s2s_plugin.errors import UserError
from s2s_plugin.models.attention.additive import AdditiveAttention, NormalizedAdditiveAttention
from s2s_plugin.models.attention.base import Attention, NoAttention
from s2s_plugin.models.attention.dot import DotAttention, GeneralAttention
from s2s_plugin.models.attention.history import HISTORIES
from s2s_plugin.models.attention.multi_head import MultiHeadAttention

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
    """

    def register(kind: type[Attention]) -> type[Attention]:
        if ATTENTIONS.setdefault(name, kind) is not kind:
            raise ValueError(f"cannot register duplicate attention ({name})")
        return kind

    return register


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
