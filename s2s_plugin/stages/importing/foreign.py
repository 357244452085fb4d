"""Read checkpoints of other toolkits without executing anything."""

from __future__ import annotations

import os
import zipfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint

from s2s_plugin.errors import UserError
from s2s_plugin.utils.checkpoint import allow_only
from s2s_plugin.utils.untrusted import is_plain_tensor, require_file, show

OLD = (  # in checkpoints of torch before 1.6, which do not list them
    "torchtext.data.field.Field", "torchtext.data.field.RawField", "torchtext.vocab.Vocab",
    "torchtext.vocab._default_unk_index", "torchtext.data.pipeline.Pipeline", "collections.defaultdict",
    "collections.Counter", "functools.partial", "onmt.inputters.text_dataset.TextMultiField",
    "onmt.inputters.text_dataset._feature_tokenize", "onmt.inputters.inputter.make_src",
    "onmt.inputters.inputter.make_tgt", "torchtext.data.utils._split_tokenizer",
)  # fmt: skip


class Inert(dict):
    """Stands for every class and function in a pickle: it keeps what it is given, and does nothing."""

    def __init__(self, *_: object, **__: object):
        super().__init__()

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            vars(self).update(state)


def load_foreign(path: Path) -> dict[str, Any]:
    """Load a checkpoint of another toolkit; objects of its classes become :class:`Inert`.

    torch's safe loader reads it, so that nothing in it is executed.

    Raises:
        UserError: it is no checkpoint, or damaged.
    """
    if not os.path.lexists(path):
        raise UserError(f"{path}: no such checkpoint; check the name")
    require_file(path, "checkpoint")
    try:
        with allow_only([Namespace]):
            names = get_unsafe_globals_in_checkpoint(path) if zipfile.is_zipfile(path) else OLD
        inert = [(Inert, name) for name in names if name != "argparse.Namespace"]
        with allow_only([Namespace, *inert]):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises anything on a damaged or foreign file
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: not a checkpoint that can be read ({show(reason, 120)[1:-1]})") from None
    if not isinstance(state, dict):
        raise UserError(f"{path}: not a checkpoint but {show(state)}; name another file")
    return state


def weights_of(state: Any) -> dict[str, Tensor]:
    """Return the tensors of a state dict, as fp32.

    Raises:
        UserError: it has something else.
    """
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) and is_plain_tensor(value) for name, value in state.items()
    ):
        raise UserError("its weights must be tensors; name another file")
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


@contextmanager
def converting(path: Path, kind: str) -> Iterator[None]:
    """Name the file in what goes wrong while it is converted, by code that expects a file of this kind.

    Raises:
        UserError: instead of any error that a file of another kind may lead to.
    """
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError, IndexError) as error:
        raise UserError(f"{path}: not {kind} ({show(str(error))}); name another") from None
