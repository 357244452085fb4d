"""What a later stage takes from the config of the run, so that the command line need not repeat it."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import fields

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from s2s_plugin.stages.schema import RunConfig
from s2s_plugin.utils.run_dir import RunDir

DATA = re.compile(r"(data|subword|prepared_dir)\b.*|task(\.data)?")  # the keys that decide which data is meant
# Our groups declare in the schema that they are saved; the rest are fairseq's.
SAVED_GROUPS = [each.name for each in fields(RunConfig) if each.metadata.get("saved")]
SAVED_GROUPS += ["task", "model", "scoring", "generation"]


def overridden_keys() -> set[str]:
    """Return the keys on the command line: ``model.dropout`` for a value, ``model`` for a choice of a group."""
    return {re.split(r"[=@]", word.lstrip("+~"))[0] for word in HydraConfig.get().overrides.task}


def restore_config(cfg: DictConfig, run_dir: RunDir, overridden: Collection[str]) -> bool:
    """Replace, in place, everything that the command line does not override by what the run's own config has.

    Returns:
        whether the run's own data is meant, so that the files that it was made from need not be read.
    """
    if not run_dir.config.is_file():
        return False
    saved = OmegaConf.to_container(OmegaConf.load(run_dir.config))
    assert isinstance(saved, dict)
    overridden = {"generation" if key == "search" else key for key in overridden}  # conf/search/ holds that group
    for group in SAVED_GROUPS:
        if group in overridden:
            continue
        value = saved[group]
        if isinstance(value, dict):
            for key in cfg[group]:
                if any(f"{each}.".startswith(f"{group}.{key}.") for each in overridden):  # it, or a key inside it
                    value[key] = cfg[group][key]
        cfg[group] = value
    return not any(map(DATA.fullmatch, overridden))
