"""Load a trained model with its task; say why a checkpoint does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from fairseq import tasks
from fairseq.dataclass.configs import FairseqConfig
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from s2s_plugin.errors import UserError
from s2s_plugin.models.seq2seq import Seq2SeqModel
from s2s_plugin.utils.checkpoint import load_plain
from s2s_plugin.utils.untrusted import REMEDY, check_config, show

STATE: dict[str, type | tuple[type, ...]] = {  # entries of a checkpoint
    "args": type(None),
    "cfg": dict,
    "model": dict,
    "criterion": (dict, type(None)),
    "optimizer_history": list,
    "task_state": dict,
    "extra_state": dict,
    "last_optimizer_state": (dict, type(None)),
}
COUNTS = ("_layers", "_pyramid", "_convolutions", "_factors")  # endings of the model's options that count modules


def load_model(path: Path, data: str | Path | None = None) -> tuple[Seq2SeqModel, DictConfig, Any]:
    """Return the model of a checkpoint, its config and its task, by default with the data of its training.

    Raises:
        UserError: the checkpoint is unreadable, of another architecture, or older than a change of the model's code.
    """
    state = load_checkpoint(path)
    cfg = OmegaConf.create(state["cfg"])
    if data is not None:
        cfg.task.data = str(data)
    task = tasks.setup_task(cfg.task, from_checkpoint=True)
    try:
        with torch.device("meta"):  # which allocates nothing, whatever sizes the config has
            outline = task.build_model(cfg.model, from_checkpoint=True)
    except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"{path}: its config describes no model ({show(str(error))}); {REMEDY}") from None
    check_parameters(path, state["model"], outline)
    model = task.build_model(cfg.model, from_checkpoint=True)
    model.load_state_dict(state["model"], model_cfg=cfg.model)
    return model, cfg, task


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Load a checkpoint of this plugin, which may be a stranger's.

    Raises:
        UserError: the checkpoint is unreadable, of another architecture or version, or not what fairseq saves.
    """
    shard = path.with_name(f"{path.stem}-shard0.pt")
    if shard.exists():
        raise UserError(f"{shard}: fairseq would read it in place of {path.name}; move it away")
    state = load_plain(path)
    cfg = state.get("cfg")
    if not cfg or not isinstance(cfg, dict) or not state.get("model"):
        raise UserError(f"{path}: not a fairseq checkpoint (no model or no config of this version)")
    model = cfg.get("model") or {}
    architecture = model.get("_name") if isinstance(model, dict) else getattr(model, "arch", None)
    if not isinstance(model, dict) or not str(architecture).startswith("s2s"):
        raise UserError(
            f"{path}: the architecture must be s2s*, got {str(show(architecture)).strip(chr(39))}; "
            "use fairseq-generate with the task of the checkpoint"
        )
    for key, value in state.items():
        if not isinstance(value, STATE.get(key, ())):
            raise UserError(f"{path}: {show(key)} is not what fairseq saves, got {show(value)}; {REMEDY}")
    state["cfg"] = check_config(cfg, FairseqConfig, path)
    if not state["cfg"].get("task"):
        raise UserError(f"{path}: its config has no task; {REMEDY}")
    _check_training_state(path, state)
    _check_sizes(path, state)
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
    unexpected = [show(name)[1:-1] for name in unexpected]
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": reshaped}
    if differences := [f"{kind} ({len(names)}): {names[0]}" for kind, names in kinds.items() if names]:
        raise UserError(
            f"{path}: its parameters do not fit the model; {'; '.join(differences)}. The model's code or options have "
            "changed since its training: restore them, or train again with a new name=NAME"
        )


def _check_training_state(path: Path, state: dict[str, Any]) -> None:
    """Raise UserError if fairseq could not continue from this, or would call what a name in it means."""
    extra, history = state.get("extra_state") or {}, state.get("optimizer_history") or []
    metrics, moving_average = extra.get("metrics") or {}, extra.get("ema") or {}
    rules = {
        "model": _has_tensors(state["model"]),
        "extra_state.ema": _has_tensors(moving_average),
        "extra_state.metrics": isinstance(metrics, dict) and all(map(_has_meters, metrics.values())),
        "extra_state.train_iterator": isinstance(extra.get("train_iterator") or {}, dict),
        "extra_state": all(
            isinstance(extra.get(key), (int, float, type(None))) for key in ("best", "previous_training_time")
        ),
        "optimizer_history": all(
            isinstance(each, dict) and isinstance(each.get("num_updates", 0), int) for each in history
        ),
    }
    for key, holds in rules.items():
        if not holds:
            raise UserError(f"{path}: {key} is not what fairseq saves; {REMEDY}")


def _has_tensors(parameters: Any) -> bool:
    return isinstance(parameters, dict) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in parameters.items()
    )


def _has_meters(rows: Any) -> bool:
    """Return whether these are meters as fairseq saves them; it calls the third field of each."""
    return isinstance(rows, list) and all(
        isinstance(row, (list, tuple)) and len(row) == 4 and str(row[2]).endswith("Meter") for row in rows
    )


def _check_sizes(path: Path, state: dict[str, Any]) -> None:
    """Raise UserError if the config describes a model that is much larger than the weights."""
    weights = state["model"].values()
    elements = sum(value.numel() for value in weights)
    for name, value in state["cfg"]["model"].items():
        limit = 10 + len(weights) if name.endswith(COUNTS) else 10_000 + elements
        if type(value) is int and not name.startswith("max_") and value > limit:
            raise UserError(
                f"{path}: model.{name} must be at most {limit:,} for these weights, got {value:,}; {REMEDY}"
            )
