"""``s2s import-opennmt CHECKPOINT``: convert a recurrent model of OpenNMT-py (1.x to 3.x) to one of ours."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from s2s_plugin.errors import UserError
from s2s_plugin.models.peers.opennmt import convert_opennmt
from s2s_plugin.stages.importing.command import arguments, import_run
from s2s_plugin.stages.importing.foreign import Inert, converting, load_foreign, weights_of
from s2s_plugin.stages.importing.run import LANGUAGES, Foreign
from s2s_plugin.stages.importing.segmentation import Models, named_models
from s2s_plugin.utils.console import note


def run(words: Sequence[str]) -> int:
    """Run ``s2s import-opennmt``."""
    return import_run(arguments("s2s import-opennmt", "CHECKPOINT", __doc__).parse_args(words), read_opennmt)


def read_opennmt(path: Path) -> Foreign:
    """Return the model of a checkpoint as ours.

    Raises:
        UserError: it is no such checkpoint, or has a part that ours lacks.
    """
    state = load_foreign(path)
    options = state.get("opt")
    args = vars(options) if isinstance(options, (Namespace, Inert)) else None
    if args is None or "model" not in state or "vocab" not in state:
        raise UserError(f"{path}: not a checkpoint of OpenNMT-py with its options, weights and vocabularies")
    with converting(path, "a recurrent model of OpenNMT-py"):
        source, target = (_tokens(state["vocab"], side) for side in ("src", "tgt"))
        weights, generator = weights_of(state["model"]), weights_of(state.get("generator"))
        model = convert_opennmt(weights, generator, args, source, target)
    return Foreign("OpenNMT-py", model, LANGUAGES, _segmentation(path.parent, args))


def _segmentation(folder: Path, args: Mapping[str, Any]) -> Models | None:
    """Return the SentencePiece models that a checkpoint of 3.x names, if they lie in its folder."""
    transforms = args.get("transforms") or ()
    if by_others := [name for name in ("bpe", "onmt_tokenize") if name in transforms]:
        note(f"its training text was split by {by_others[0]}; so must be what it reads")
    if "sentencepiece" not in transforms:
        return None
    source = args.get("src_subword_model")
    return named_models(folder, source, args.get("tgt_subword_model") or source)


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
