"""What a later stage takes from the config of the run, so that the command line need not repeat it."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from s2s_plugin.errors import UserError
from s2s_plugin.stages.commands import GENERATE, GENERATE_PARTS, TRAIN, TRAIN_PARTS
from s2s_plugin.stages.schema import RunConfig, load_config
from s2s_plugin.tasks.config import Seq2SeqTaskConfig
from s2s_plugin.utils.options import options_affecting
from s2s_plugin.utils.run_dir import RunDir

DATA = re.compile(r"(data|subword|prepared_dir)\b.*|task(\.data)?")  # the keys that decide which data is meant
# Our groups declare in the schema that they are saved, and their options what they affect; the rest are fairseq's.
SAVED = {each.name: each.type for each in fields(RunConfig) if each.metadata.get("saved")}
SAVED_GROUPS = [*SAVED, "task", "model", "scoring", "generation"]
SCHEMAS: dict[str, Any] = {name: kind for name, kind in SAVED.items() if is_dataclass(kind)}
SCHEMAS |= {"": RunConfig, "task": Seq2SeqTaskConfig}
# fairseq's options do not declare what they affect; these groups are read by fairseq-train alone.
TRAINING_GROUPS = {*TRAIN, *TRAIN_PARTS} - {*GENERATE, *GENERATE_PARTS}


def overridden_keys() -> set[str]:
    """Return the keys on the command line: ``model.dropout`` for a value, ``model`` for a choice of a group."""
    return {re.split(r"[=@]", word.lstrip("+~"))[0] for word in HydraConfig.get().overrides.task}


def restore_config(cfg: DictConfig, run_dir: RunDir, overridden: Collection[str], reads_data: bool) -> bool:
    """Replace, in place, everything that the command line does not override by what the run's own config has.

    Returns:
        whether the run's own data is meant, so that the files that it was made from need not be read.

    Raises:
        UserError: an option that only affects training differs from the run's; ``reads_data`` allows those of the data.
    """
    if not os.path.lexists(run_dir.config):
        return False
    saved = load_config(run_dir.config)
    for key in sorted(overridden):
        if not (reads_data and DATA.fullmatch(key)):
            _check_effect(key, cfg, saved, run_dir.folder)
    overridden = {"generation" if key == "search" else key for key in overridden}  # conf/search/ holds that group
    for group in SAVED_GROUPS:
        if group in overridden or group not in saved:
            continue
        value = saved[group]
        if isinstance(value, DictConfig):
            for key in cfg[group]:
                if any(f"{each}.".startswith(f"{group}.{key}.") for each in overridden):  # it, or a key inside it
                    value[key] = cfg[group][key]
        cfg[group] = value
    return not any(map(DATA.fullmatch, overridden))


def _check_effect(key: str, cfg: DictConfig, saved: DictConfig, folder: Path) -> None:
    """Raise UserError if an option, or one in a group, affects nothing but training and differs from the run's."""
    names, group = [key], OmegaConf.select(cfg, key)
    if key == "data":  # a choice without its files
        names = ["data.name"]
    elif isinstance(group, DictConfig):  # interpolations depend on options that are not restored yet
        names = [f"{key}.{name}" for name in map(str, group) if not OmegaConf.is_interpolation(group, name)]
    for name in filter(_affects_only_training, names):
        now = OmegaConf.select(cfg, name)
        if now != (before := OmegaConf.select(saved, name, default=now)):
            raise UserError(
                f"{name} only affects training, and {folder} was trained with {before}, got {now}: leave {key} out"
            )


def _affects_only_training(key: str) -> bool:
    group, name = key.split(".")[:2] if "." in key else ("", key)
    if group not in SCHEMAS:
        return group in TRAINING_GROUPS
    schema = SCHEMAS[group]
    training, later = options_affecting(schema, "training"), options_affecting(schema, "decoding", "speed", "display")
    return name in training and name not in later
