"""``finetune_from=RUN``: a run begins with the model and the vocabulary of another run, and goes on with other data."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from s2s_plugin.datasets.manifest import MODALITIES
from s2s_plugin.errors import UserError
from s2s_plugin.inference.translator import check_checkpoint
from s2s_plugin.tasks.loading import read_source_meta
from s2s_plugin.utils.run_dir import RunDir

# Of the model, what may be another at every training.
FREE = {"dropout", "locked_dropout", "word_dropout", "freeze_embeddings"}
# What is a matter of the data.
OWN = {"max_source_positions", "max_target_positions", "box", "max_seconds", "max_megapixels"}


def begin_from_other(cfg: DictConfig, own: RunDir, named: Collection[str]) -> None:
    """Take from the run ``cfg.finetune_from`` its model, its vocabulary and how it reads media.

    Args:
        cfg: is changed in place.
        own: the run that begins.
        named: what the command line names, as ``model.dropout`` or, for a choice, ``model``.

    Raises:
        UserError: there is no such run, it has no usable checkpoint or its data is gone, it is of other languages,
            or the command line asks for another model or vocabulary.
    """
    other = _find(cfg, own)
    checkpoint = other.best_checkpoint()
    state = check_checkpoint(checkpoint)
    stored = OmegaConf.load(other.config)
    task, data = state["cfg"]["task"], cfg.data
    if (task["source_lang"], task["target_lang"]) != (data.source_lang, data.target_lang):
        raise UserError(
            f"{other.folder} goes from {task['source_lang']} to {task['target_lang']}, this data from "
            f"{data.source_lang} to {data.target_lang}: fine-tuning keeps the languages"
        )
    if cfg.ema.store_ema and "ema" not in state["extra_state"]:
        if "ema.store_ema" in named:
            raise UserError(f"{other.folder} has no moving average to go on with: set ema.store_ema=false")
        cfg.ema.store_ema = False
    if not Path(task["data"]).is_dir():
        raise UserError(f"{task['data']}: no such folder, whose vocabulary {other.folder} has; prepare that data again")
    _keep(cfg, "model", state["cfg"]["model"], named)
    _keep(cfg, "subword", {**stored.subword, "from_dir": task["data"]}, named)
    retrieval = {"retrieval": stored.data.get("retrieval", False)}
    _keep(cfg, "data", retrieval, set(named) - {"data"})  # other data is what fine-tuning is for
    if data.source_lang in MODALITIES:
        _keep(cfg, data.source_lang, read_source_meta(Path(task["data"]))["frontend"], named)
    cfg.checkpoint.finetune_from_model = str(checkpoint)


def _find(cfg: DictConfig, own: RunDir) -> RunDir:
    """The run of that folder, or of that name among those of the app."""
    folders = [Path(os.path.relpath(name)) for name in (cfg.finetune_from, own.folder.parent / cfg.finetune_from)]
    for other in map(RunDir, folders):  # relative, so that another spelling is the same setting
        if other.config.is_file():
            if other.folder.resolve() == own.folder.resolve():
                raise UserError(f"finetune_from={cfg.finetune_from} is this run itself: give the new one a name=...")
            return other
    raise UserError(f"finetune_from={cfg.finetune_from}: there is no run in {folders[0]} or {folders[1]}")


def _keep(cfg: DictConfig, group: str, there: dict[str, Any], named: Collection[str]) -> None:
    """Make a group of the config what it is in the other run."""
    for key, value in there.items():
        if key in OWN:
            continue
        asked = group in named or f"{group}.{key}" in named
        if asked and key not in FREE and cfg[group][key] != value:
            raise UserError(
                f"{group}.{key} is {_said(value)} in {cfg.finetune_from}, here {_said(cfg[group][key])}: "
                f"fine-tuning keeps it, leave {group}.{key} out"
            )
        if not asked:
            cfg[group][key] = value


def _said(value: Any) -> str:
    """An option's value as it is written."""
    return json.dumps(OmegaConf.to_container(value) if OmegaConf.is_config(value) else value, ensure_ascii=False)
