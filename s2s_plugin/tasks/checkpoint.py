"""Load a trained model with its task; say why a checkpoint does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairseq import checkpoint_utils, tasks
from omegaconf import DictConfig
from torch import Tensor, nn

from s2s_plugin.errors import UserError
from s2s_plugin.models.seq2seq import Seq2SeqModel
from s2s_plugin.utils.checkpoint import load_checkpoint


def load_model(path: Path, data: str | Path | None = None) -> tuple[Seq2SeqModel, DictConfig, Any]:
    """Return the model of a checkpoint, its config and its task, by default with the data of its training.

    Raises:
        UserError: the checkpoint is unreadable, of another architecture, or older than a change of the model's code.
    """
    check_checkpoint(path)
    state = checkpoint_utils.load_checkpoint_to_cpu(str(path), {} if data is None else {"data": str(data)})
    cfg = state["cfg"]
    task = tasks.setup_task(cfg.task, from_checkpoint=True)
    model = task.build_model(cfg.model, from_checkpoint=True)
    check_parameters(path, state["model"], model)
    model.load_state_dict(state["model"], model_cfg=cfg.model)
    return model, cfg, task


def check_checkpoint(path: Path) -> dict:
    """Load a checkpoint of this plugin.

    Raises:
        UserError: the checkpoint is unreadable or of another architecture.
    """
    state = load_checkpoint(path)
    model = (state.get("cfg") or {}).get("model") or {}
    architecture = model.get("_name") if isinstance(model, dict) else getattr(model, "arch", None)
    if not str(architecture).startswith("s2s"):
        raise UserError(
            f"{path}: the architecture must be s2s*, got {architecture}; "
            "use fairseq-generate with the task of the checkpoint"
        )
    return state


def check_parameters(path: Path, saved: Mapping[str, Tensor], model: nn.Module) -> None:
    """Raise UserError if a checkpoint's parameters differ from the model's in name or shape."""
    own = model.state_dict()
    missing, unexpected = sorted(own.keys() - saved.keys()), sorted(saved.keys() - own.keys())
    reshaped = [
        f"{name}, {list(saved[name].shape)} instead of {list(own[name].shape)}"
        for name in sorted(own.keys() & saved.keys())
        if saved[name].shape != own[name].shape
    ]
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": reshaped}
    if differences := [f"{kind} ({len(names)}): {names[0]}" for kind, names in kinds.items() if names]:
        raise UserError(
            f"{path}: its parameters do not fit the model; {'; '.join(differences)}. The model's code or options have "
            "changed since its training: restore them, or train again with a new name=NAME"
        )
