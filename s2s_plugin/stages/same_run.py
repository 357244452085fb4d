"""What a run's folder was trained with: which options and dictionaries."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from s2s_plugin.datasets.manifest import MODALITIES
from s2s_plugin.errors import UserError
from s2s_plugin.stages.commands import DISPLAY_OPTIONS
from s2s_plugin.tasks.config import Seq2SeqTaskConfig
from s2s_plugin.utils.io import fingerprint, read_json, write_json
from s2s_plugin.utils.options import options_affecting
from s2s_plugin.utils.run_dir import RunDir

# The groups that decide what is learnt.
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

# Options that do not affect training; those of our own dataclasses declare it (utils/options.py).
NON_TRAINING_KEYS = {
    *(f"common.{name}" for name in (*DISPLAY_OPTIONS, "user_dir", "cpu", "tensorboard_logdir", "wandb_project")),
    *(f"dataset.{name}" for name in ("num_workers", "gen_subset")),
    *(f"checkpoint.{name}" for name in ("save_dir", "save_interval", "save_interval_updates")),
    *(f"checkpoint.{name}" for name in ("keep_interval_updates", "keep_last_epochs")),
    *(f"task.{each.name}" for each in fields(Seq2SeqTaskConfig)),
} - {f"task.{name}" for name in options_affecting(Seq2SeqTaskConfig, "training")}


def write_training_settings(cfg: DictConfig, run_dir: RunDir) -> None:
    """Record what the run is trained with, for the functions below."""
    write_json(run_dir.training_settings, {**_settings(cfg), "dictionaries": dictionary_fingerprints(cfg)})


def changed_settings(cfg: DictConfig, run_dir: RunDir) -> dict[str, tuple[Any, Any]]:
    """Return the options of the training that have changed since it began, with both values."""
    before, now = read_json(run_dir.training_settings) or {}, _settings(cfg)
    return {key: (before[key], now[key]) for key in sorted(now.keys() & before.keys()) if now[key] != before[key]}


def check_same_run(cfg: DictConfig, run_dir: RunDir) -> None:
    """Raise UserError if the folder was trained with other options; only the length of training may grow."""
    changed = changed_settings(cfg, run_dir)
    if run_dir.divergence.is_file():
        changed = {key: values for key, values in changed.items() if key not in AFTER_DIVERGENCE}
    if LENGTH_KEYS.issuperset(changed) and all(now > before for before, now in changed.values()):
        return
    key, (before, now) = next(iter(changed.items()))
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    raise UserError(
        f"{run_dir.folder} was trained with {key}={json.dumps(before)}, now it is {json.dumps(now)}{more}: "
        "give this run another name=..., or delete the folder"
    )


def _settings(cfg: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)
    assert isinstance(plain, dict)
    settings = {f"{group}.{key}": value for group in TRAINING_GROUPS for key, value in (plain[group] or {}).items()}
    return {key: value for key, value in settings.items() if key not in NON_TRAINING_KEYS}


def check_dictionaries(cfg: DictConfig, run_dir: RunDir) -> None:
    """Raise UserError if the data has other dictionaries than the training had."""
    trained = (read_json(run_dir.training_settings) or {}).get("dictionaries", {})
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
