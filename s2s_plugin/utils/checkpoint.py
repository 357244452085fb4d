"""Read and write checkpoint files safely."""

from __future__ import annotations

from pathlib import Path

import torch

from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import atomic_path


def load_checkpoint(path: Path) -> dict:
    """Load a checkpoint with torch's safe loader.

    Raises:
        UserError: the file is missing, cut short, or contains more than plain data.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such checkpoint; run the train stage first") from None
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise UserError(
            f"{path}: not a readable checkpoint, perhaps cut short ({reason}); "
            "delete it or restore a copy, and run again"
        ) from None


def save_checkpoint(state: dict, path: Path) -> None:
    """Write a checkpoint whole or not at all."""
    try:
        with atomic_path(path) as partial:
            torch.save(state, partial)
    except RuntimeError as error:
        raise UserError(f"{path}: cannot be written ({str(error).splitlines()[0]})") from None
