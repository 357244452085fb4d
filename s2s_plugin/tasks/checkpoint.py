"""Load a trained model with its task; say why a checkpoint does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from fairseq import tasks
from fairseq.dataclass.configs import FairseqConfig
from fairseq.models import ARCH_MODEL_REGISTRY
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from s2s_plugin.errors import UserError
from s2s_plugin.models.seq2seq import Seq2SeqModel
from s2s_plugin.tasks.stored_config import check_config
from s2s_plugin.utils.checkpoint import load_plain
from s2s_plugin.utils.untrusted import REMEDY, show

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


class _WithoutInitialization(TorchFunctionMode):
    """Leaves new parameters as they are: on the meta device, normal_ would import torch's compiler for seconds."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return kwargs["tensor"] if func is nn.init.normal_ else func(*args, **(kwargs or {}))


def load_model(path: Path, data: str | Path | None = None) -> tuple[Seq2SeqModel, DictConfig, Any]:
    """Return the model of a checkpoint, its config and its task, by default with the data of its training.

    Raises:
        UserError: the checkpoint is unreadable, of another architecture, older than a change of the model's code, or
            has weights that are not finite.
    """
    state = load_checkpoint(path)
    cfg = OmegaConf.create(state["cfg"])
    if data is not None:
        cfg.task.data = str(data)
    task = tasks.setup_task(cfg.task, from_checkpoint=True)
    try:
        with torch.device("meta"), _WithoutInitialization():  # allocates nothing, whatever sizes the config has
            outline = task.build_model(cfg.model, from_checkpoint=True)
    except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"{path}: its config describes no model ({show(str(error))}); {REMEDY}") from None
    check_parameters(path, state["model"], outline)
    if broken := [name for name, weights in state["model"].items() if not weights.isfinite().all()]:
        raise UserError(f"{path}: {broken[0]} has weights that are NaN or infinite; restore a copy, or train again")
    model = task.build_model(cfg.model, from_checkpoint=True)
    model.load_state_dict(state["model"], model_cfg=cfg.model)
    return model, cfg, task


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Load a checkpoint of this plugin, which may be a stranger's.

    Raises:
        UserError: the checkpoint is unreadable, of another architecture or version, or not what fairseq saves.
    """
    shard = path.parent / f"{path.stem}-shard0.pt"
    if shard.exists():
        raise UserError(f"{shard}: fairseq would read it in place of {path.name}; move it away")
    state = load_plain(path)
    cfg = state.get("cfg")
    if not cfg or not isinstance(cfg, dict) or not state.get("model"):
        raise UserError(f"{path}: not a fairseq checkpoint (no model or no config of this version)")
    model = cfg.get("model") or {}
    architecture = model.get("_name") if isinstance(model, dict) else getattr(model, "arch", None)
    registered = ARCH_MODEL_REGISTRY.get(architecture) if isinstance(architecture, str) else None
    known = str(architecture).startswith("s2s") or issubclass(registered or object, Seq2SeqModel)
    if not isinstance(model, dict) or not known:
        raise UserError(
            f"{path}: the architecture must be s2s*, got {str(show(architecture)).strip(chr(39))}; "
            "use fairseq-generate with the task of the checkpoint, or common.user_dir=FOLDER, which registers it"
        )
    for key, value in state.items():
        if not isinstance(value, STATE.get(key, ())):
            raise UserError(f"{path}: {show(key)} is not what fairseq saves, got {show(value)}; {REMEDY}")
    state["cfg"] = check_config(cfg, FairseqConfig, path)
    if not state["cfg"].get("task"):
        raise UserError(f"{path}: its config has no task; {REMEDY}")
    state["cfg"]["task"]["knn"] = None  # faiss would read any file there
    if not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state["model"].items()):
        raise UserError(f"{path}: model must have tensors alone; {REMEDY}")
    _check_counters(path, state)
    _check_counts(path, state)
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


def _check_counters(path: Path, state: dict[str, Any]) -> None:
    """Raise UserError if the counters of the training are not what fairseq saves."""
    extra, history = state.get("extra_state") or {}, state.get("optimizer_history") or []
    numbers = [extra.get("best"), extra.get("previous_training_time")]
    numbers += [each.get("num_updates") if isinstance(each, dict) else each for each in history]
    if not all(isinstance(number, (int, float, type(None))) for number in numbers):
        raise UserError(f"{path}: its counters are not what fairseq saves; {REMEDY}")


def _check_counts(path: Path, state: dict[str, Any]) -> None:
    """Raise UserError if the config describes a model of more modules than there are weights."""
    limit = 10 + len(state["model"])
    for name, value in state["cfg"]["model"].items():
        if name.endswith(COUNTS) and type(value) is int and value > limit:
            raise UserError(
                f"{path}: model.{name} must be at most {limit:,} for these weights, got {value:,}; {REMEDY}"
            )
