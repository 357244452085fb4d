"""What a later stage takes from the config of the run, so that the command line need not repeat it."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from s2s_plugin.errors import UserError
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.stages.commands import GENERATE, GENERATE_PARTS, TRAIN, TRAIN_PARTS
from s2s_plugin.stages.finetune import check_same_base
from s2s_plugin.stages.same_run import NON_TRAINING_KEYS, may_change, refusal
from s2s_plugin.stages.same_run import TRAINING_GROUPS as LEARNING_GROUPS
from s2s_plugin.stages.schema import RunConfig, load_config
from s2s_plugin.tasks.config import Seq2SeqTaskConfig
from s2s_plugin.utils.console import say
from s2s_plugin.utils.options import options_affecting

DATA = re.compile(r"(data|subword|prepared_dir)\b.*|task(\.data)?")  # the keys that decide which data is meant
# Our groups declare in the schema that they are saved, and their options what they affect; the rest are fairseq's.
SAVED = {each.name: each.type for each in fields(RunConfig) if each.metadata.get("saved")}
SAVED_GROUPS = [*SAVED, "task", "model", "scoring", "generation"]
SCHEMAS: dict[str, Any] = {name: kind for name, kind in SAVED.items() if is_dataclass(kind)}
SCHEMAS |= {"": RunConfig, "task": Seq2SeqTaskConfig}
# The groups of files in conf/ whose options are not those of a group of the config.
FILE_GROUPS = ("experiment", "hardware", "schedule", "search")
IDENTIFYING = {"app", "name", "run_dir", "verbose"}  # say which run is meant
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
    merged = _merge(cfg, saved)
    overridden = {"generation" if key == "search" else key for key in overridden}  # conf/search/ holds that group
    for group in SAVED_GROUPS:
        if group in overridden or group not in saved:
            continue
        value = merged[group]
        if isinstance(value, DictConfig):
            for key in cfg[group]:
                if any(f"{each}.".startswith(f"{group}.{key}.") for each in overridden):  # it, or a key inside it
                    value[key] = cfg[group][key]
        cfg[group] = value
    return not any(map(DATA.fullmatch, overridden))


def continue_config(cfg: DictConfig, run_dir: RunDir, overridden: Collection[str]) -> DictConfig:
    """Return the config of the run with what the command line names anew, to go on with its training.

    Raises:
        UserError: an option is named that may not change.
    """
    saved = load_config(run_dir.config)
    if cfg.finetune_from is not None:
        check_same_base(cfg, run_dir, saved)
    result = _merge(cfg, saved)
    _follow(result, cfg)
    for key, word in _named_options(cfg, overridden).items():
        before, now = (_plain(OmegaConf.select(config, key)) for config in (result, cfg))
        if before == now:
            continue
        if not may_change(run_dir, key, before, now) and _affects_training(key):
            if word != "hardware":
                raise refusal(run_dir.folder, key, before, now)
            say(f"      {key}={before} stays as in the training so far")
            continue
        OmegaConf.update(result, key, now, force_add=True)
        if _affects_training(key):
            say(f"      {key}: {before} so far, {now} from now on")
    result.name = cfg.name
    return result


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _merge(cfg: DictConfig, saved: DictConfig) -> DictConfig:
    """Return the saved config, with the options that a newer version has added to its groups."""
    result = saved.copy()
    for key in cfg:
        group, own = cfg._get_node(key), saved._get_node(key)
        if key not in saved:
            result[key] = group
        elif isinstance(group, DictConfig) and isinstance(own, DictConfig) and group.get("_name") == own.get("_name"):
            result[key] = OmegaConf.merge(group, own)
    return result


def _follow(result: DictConfig, cfg: DictConfig) -> None:
    """Let options follow others again, as in ``cfg``, wherever their resolved values say that they did."""
    for key, raw in _leaves(OmegaConf.to_container(cfg)):
        if not (isinstance(raw, str) and "${" in raw) or key.startswith("data."):
            continue
        before = OmegaConf.select(result, key)
        OmegaConf.update(result, key, raw)
        try:
            follows = OmegaConf.select(result, key) == before
        except OmegaConfBaseException:
            follows = False
        if not follows:
            OmegaConf.update(result, key, before)


def _leaves(values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each option below plain values with its value."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _named_options(cfg: DictConfig, overridden: Collection[str]) -> dict[str, str]:
    """Return the options that the command line sets, each with the word that names it: its own or that of a file."""
    named = {key: word for word in sorted(overridden) for key in _options_of(word, cfg)}
    return {key: word for key, word in named.items() if key not in ("name", "run_dir", "finetune_from")}


def _options_of(word: str, cfg: DictConfig, choice: str | None = None) -> Iterator[str]:
    group = OmegaConf.select(cfg, word, throw_on_missing=False)
    if word in FILE_GROUPS:
        yield from _options_in_file(word, choice or HydraConfig.get().runtime.choices[word], cfg)
    elif word == "data":  # a choice without its files
        yield "data.name"
    elif isinstance(group, DictConfig):  # interpolations follow other options
        leaves = _leaves(OmegaConf.to_container(group), f"{word}.")
        yield from (key for key, value in leaves if not (isinstance(value, str) and "${" in value))
    else:
        yield word


def _options_in_file(group: str, choice: str, cfg: DictConfig) -> Iterator[str]:
    """Yield the options that a file of ``conf/`` or the user's sets itself and by its list of defaults."""
    sources = [Path(each.path) for each in HydraConfig.get().runtime.config_sources if each.schema == "file"]
    path = next((path for folder in sources if (path := folder / group / f"{choice}.yaml").is_file()), None)
    if path is None:
        return
    content: Any = OmegaConf.to_container(OmegaConf.load(path))
    package = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# @package ")
    for entry in content.pop("defaults", []):
        for name, value in (entry if isinstance(entry, dict) else {group: entry}).items():
            if value != "_self_":
                yield from _options_of(name.removeprefix("override").strip(" /"), cfg, value)
    yield from (key for key, _ in _leaves(content, "" if package == "_global_" else f"{package}."))


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


def _affects_training(key: str) -> bool:
    group, name = key.split(".")[:2] if "." in key else ("", key)
    if group in SCHEMAS:
        return name in options_affecting(SCHEMAS[group], "training") and key != "prepared_dir"
    return group in LEARNING_GROUPS and key not in NON_TRAINING_KEYS


def _affects_only_training(key: str) -> bool:
    group, name = key.split(".")[:2] if "." in key else ("", key)
    if group not in SCHEMAS:
        return group in TRAINING_GROUPS
    schema = SCHEMAS[group]
    training, later = options_affecting(schema, "training"), options_affecting(schema, "decoding", "speed", "display")
    return name in training and name not in later
