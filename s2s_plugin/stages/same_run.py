"""What a run's folder was trained with: which options and dictionaries."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from s2s_plugin.datasets.manifest import MODALITIES
from s2s_plugin.errors import UserError
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.stages.commands import DISPLAY_OPTIONS
from s2s_plugin.tasks.config import Seq2SeqTaskConfig
from s2s_plugin.utils.io import fingerprint, write_json
from s2s_plugin.utils.options import options_affecting

# The groups that decide what is learned.
TRAINING_GROUPS = ("task", "model", "criterion", "optimizer", "lr_scheduler", "optimization", "dataset", "common",
                   "checkpoint", "ema")  # fmt: skip

# How long is trained: may grow later.
LENGTH_KEYS = {
    "optimization.max_update",
    "optimization.max_epoch",
    "optimization.stop_time_hours",
    "lr_scheduler.total_num_update",  # of polynomial_decay, which ends with the training
    "lr_scheduler.max_update",  # of cosine, too
}

# What may change to go on after training has diverged.
AFTER_DIVERGENCE = {
    "optimization.lr",
    "lr_scheduler.lr",
    "optimizer.lr",
    "optimization.clip_norm",
    "lr_scheduler.warmup_updates",
}

# How many sentences an update sees: may change, as fairseq allows, from the next epoch on.
BATCH_KEYS = {
    *(f"dataset.{name}" for name in ("max_tokens", "batch_size", "max_tokens_valid", "batch_size_valid")),
    "optimization.update_freq",
    "distributed_training.distributed_world_size",
}
CHANGEABLE = BATCH_KEYS | {"checkpoint.patience"}

# Options that do not affect training; those of our own dataclasses declare it (utils/options.py).
NON_TRAINING_KEYS = {
    *(f"common.{name}" for name in (*DISPLAY_OPTIONS, "user_dir", "cpu", "tensorboard_logdir", "wandb_project")),
    *(f"dataset.{name}" for name in ("num_workers", "gen_subset")),
    *(f"checkpoint.{name}" for name in ("save_dir", "save_interval", "save_interval_updates")),
    *(f"checkpoint.{name}" for name in ("keep_interval_updates", "keep_last_epochs")),
    "criterion.ewc_file",  # follows the folder of the run
    *(f"task.{each.name}" for each in fields(Seq2SeqTaskConfig)),
} - {f"task.{name}" for name in options_affecting(Seq2SeqTaskConfig, "training")}


def write_training_settings(cfg: DictConfig, run_dir: RunDir, seconds_before: float, corpus: str) -> None:
    """Record what the run is trained with, and for how long the weights that it began with had been trained."""
    others = {"dictionaries": dictionary_fingerprints(cfg), "seconds_before": seconds_before, "corpus": corpus}
    write_json(run_dir.training_settings, {**_settings(cfg), **others})


def changed_settings(cfg: DictConfig, run_dir: RunDir) -> dict[str, tuple[Any, Any]]:
    """Return the options of the training that have changed since it began, with both values."""
    before, now = run_dir.read_settings(), _settings(cfg)
    changed = {key: (before[key], now[key]) for key in sorted(now.keys() & before.keys()) if now[key] != before[key]}
    if "task.data" in changed and len({Path(folder).name for folder in changed["task.data"]}) == 1:
        del changed["task.data"]  # the same data in another place
    return changed


def check_same_run(cfg: DictConfig, run_dir: RunDir) -> None:
    """Raise UserError if the folder was trained with other options than those that may change."""
    settings = changed_settings(cfg, run_dir)
    changed = {key: values for key, values in settings.items() if not may_change(run_dir, key, *values)}
    for key, values in changed.items():
        raise refusal(run_dir.folder, key, *values, more=f" and {len(changed) - 1} more" if len(changed) > 1 else "")


def may_change(run_dir: RunDir, setting: str, before: Any, now: Any) -> bool:
    """Return whether a training may go on with this change."""
    if setting in LENGTH_KEYS:
        return (now or math.inf) > (before or math.inf)  # 0 and None: no limit
    return setting in CHANGEABLE or (setting in AFTER_DIVERGENCE and run_dir.divergence.is_file())


def refusal(folder: Path, key: str, before: Any, now: Any, more: str = "") -> UserError:
    """Return the error that a training may not go on with this change."""
    values = [json.dumps(value, ensure_ascii=False, default=str) for value in (before, now)]
    grow = ", which may only grow" if key in LENGTH_KEYS else ""
    return UserError(
        f"{folder} was trained with {key}={values[0]}{grow}, now it is {values[1]}{more}: "
        "give this run another name=..., or delete the folder"
    )


def _settings(cfg: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)
    assert isinstance(plain, dict)
    settings = {f"{group}.{key}": value for group in TRAINING_GROUPS for key, value in (plain[group] or {}).items()}
    settings |= {key: OmegaConf.select(cfg, key) for key in BATCH_KEYS if key.startswith("distributed_training")}
    return {key: value for key, value in settings.items() if key not in NON_TRAINING_KEYS}


def check_dictionaries(cfg: DictConfig, run_dir: RunDir) -> None:
    """Raise UserError if the data has other dictionaries than the training had."""
    trained = run_dir.read_settings().get("dictionaries", {})
    for lang, now in dictionary_fingerprints(cfg).items():
        if now != trained.get(lang, now):
            raise UserError(
                f"{cfg.task.data}/dict.{lang}.txt is not the dictionary that {run_dir.folder} was trained with; "
                "leave out data=... and subword=... to use the data of the training"
            )


def dictionary_fingerprints(cfg: DictConfig) -> dict[str, str]:
    """Return a fingerprint of each language's dictionary; signals have none."""
    paths = {lang: Path(cfg.task.data) / f"dict.{lang}.txt" for lang in (cfg.task.source_lang, cfg.task.target_lang)}
    return {lang: fingerprint(path) for lang, path in paths.items() if lang not in MODALITIES}
