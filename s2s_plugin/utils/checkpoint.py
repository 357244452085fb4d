"""Read and write files of torch safely: nothing in them is executed, and damage is noticed."""

from __future__ import annotations

import zipfile
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch

from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import atomic_path
from s2s_plugin.utils.untrusted import check_plain, require_file, show


def load_plain(path: Path) -> dict[str, Any]:
    """Load a dictionary of plain data and tensors that ``torch.save`` has written.

    Raises:
        UserError: the file is missing, damaged, no regular file, or contains more than plain data.
    """
    require_file(path, "checkpoint")
    try:
        with path.open("rb") as file, allow_only([Namespace]):
            _check_zip(file)
            file.seek(0)
            state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # zipfile and torch raise anything on a damaged or foreign file
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path}: not a readable checkpoint, perhaps cut short ({show(reason, 120)}); "
            "delete it or restore a copy, and run again"
        ) from None
    check_plain(state, path)
    if not isinstance(state, dict):
        raise UserError(f"{path}: not a checkpoint but {show(state)}; name another file")
    return state


def save_checkpoint(state: dict, path: Path) -> None:
    """Write a checkpoint whole or not at all."""
    try:
        with atomic_path(path) as partial:
            torch.save(state, partial)
    except RuntimeError as error:
        raise UserError(f"{path}: cannot be written ({str(error).splitlines()[0]})") from None


def untrained_state(cfg: dict[str, Any], weights: dict[str, Any], updates: int = 0) -> dict[str, Any]:
    """Return what fairseq saves of a model, without the state of an optimizer.

    Args:
        cfg: groups of the config.
        weights: by their names.
        updates: how many the weights have had.
    """
    history = {"criterion_name": "", "optimizer_name": "", "lr_scheduler_state": {}, "num_updates": updates}
    return {
        "args": None,
        "cfg": cfg,
        "model": weights,
        "criterion": None,
        "optimizer_history": [history],
        "task_state": {},
        "extra_state": {},
        "last_optimizer_state": None,
    }


def _check_zip(file: BinaryIO) -> None:
    """Raise an error if a member of the archive differs from its checksum, at which torch does not look."""
    if file.read(4) != b"PK\x03\x04":
        raise ValueError("no archive of torch.save")
    with zipfile.ZipFile(file) as archive:
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise ValueError("compressed")
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"the checksum of {damaged} differs")


@contextmanager
def allow_only(types: Sequence[Any]) -> Iterator[None]:
    """Let torch load objects of these types alone, in place of what compat.py allows for fairseq's commands.

    ``Namespace``, the type of a command line, holds plain data.
    """
    allowed = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(list(types))
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(allowed)
