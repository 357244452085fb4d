"""Attention as fairseq's commands print and use it."""

from __future__ import annotations

from torch import Tensor


def alignment(attention: Tensor | None, printed: str | None, for_unknown: bool = False) -> list:
    """What ``fairseq-generate`` wants beside a hypothesis.

    Args:
        attention: T x S weights, or None.
        printed: of --print-alignment: "soft" gives T rows of S weights, "hard" pairs (source, target) without </s>.
        for_unknown: of --replace-unk: the source position of each of the T symbols, never that of the source's </s>.
    """
    if attention is None:
        return []
    if printed == "soft":
        return [[f"{weight:.6f}" for weight in row] for row in attention.tolist()]
    if for_unknown:
        words = attention[:, : max(attention.size(1) - 1, 1)]
        return words.argmax(1).tolist()
    return [(source, target) for target, source in enumerate(attention.argmax(1).tolist()[:-1])]
