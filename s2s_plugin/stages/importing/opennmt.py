"""``s2s import-opennmt CHECKPOINT``: convert a recurrent model of OpenNMT-py (1.x to 3.x) to one of ours."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s2s_plugin.errors import UserError
from s2s_plugin.models.peers.opennmt import convert_opennmt
from s2s_plugin.models.peers.parts import Imported
from s2s_plugin.stages.importing.checkpoint import Inert, explain, load_foreign, parse, weights_of, write_imported
from s2s_plugin.utils.untrusted import show


def run(words: Sequence[str]) -> int:
    """Run ``s2s import-opennmt``."""
    source, out = parse("s2s import-opennmt", words, "CHECKPOINT", __doc__)
    write_imported(read_opennmt(source), out)
    print(explain(out))
    return 0


def read_opennmt(path: Path) -> Imported:
    """Return the model of a checkpoint as ours.

    Raises:
        UserError: it is no such checkpoint, or has a part that ours lacks.
    """
    state = load_foreign(path)
    options = state.get("opt")
    args = vars(options) if isinstance(options, (Namespace, Inert)) else None
    if args is None or "model" not in state or "vocab" not in state:
        raise UserError(f"{path}: not a checkpoint of OpenNMT-py with its options, weights and vocabularies")
    try:
        source, target = (_tokens(state["vocab"], side) for side in ("src", "tgt"))
        weights = weights_of(state["model"], path)
        return convert_opennmt(weights, weights_of(state.get("generator"), path), args, source, target)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError, IndexError) as error:
        raise UserError(f"{path}: not a recurrent model of OpenNMT-py ({show(str(error))}); name another") from None


def _tokens(vocabularies: Any, side: str) -> list[str]:
    """Return the tokens of a side in the order of their ids, from a list (3.x) or from fields of torchtext."""
    value = dict(vocabularies)[side]
    if isinstance(value, (list, tuple)) and not all(isinstance(each, str) for each in value):  # of a field by name
        ((_, value), *_) = value
    for name in ("fields", "vocab", "itos"):  # TextMultiField, Field, Vocab
        if isinstance(value, Inert) and name in vars(value):
            value = vars(value)[name]
            value = value[0][1] if name == "fields" else value
    if not isinstance(value, list) or not all(isinstance(token, str) for token in value):
        raise ValueError(f"no tokens of {side}")
    return value
