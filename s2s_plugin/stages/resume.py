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
from s2s_plugin.stages.same_run import NON_TRAINING_KEYS, TRAINING_GROUPS, may_change, refusal
from s2s_plugin.stages.schema import RunConfig, load_config
from s2s_plugin.tasks.config import Seq2SeqTaskConfig
from s2s_plugin.utils.console import say
from s2s_plugin.utils.options import TRAINING

DATA = re.compile(r"(data|subword|prepared_dir)\b.*|task(\.data)?")  # the keys that decide which data is meant
# Our groups declare in the schema that they are saved, and their options what they affect; the rest are fairseq's.
SAVED = {each.name: each.type for each in fields(RunConfig) if each.metadata.get("saved")}
SAVED_GROUPS = [*SAVED, "task", "model", "scoring", "generation"]
SCHEMAS: dict[str, Any] = {name: kind for name, kind in SAVED.items() if is_dataclass(kind)}
SCHEMAS |= {"": RunConfig, "task": Seq2SeqTaskConfig}
# The groups of files in conf/ whose options are not those of a group of the config.
FILE_GROUPS = ("experiment", "hardware", "schedule", "search")
IDENTIFYING = {"app", "name", "run_dir", "verbose"}  # say which run is meant
# These groups are read by fairseq-train alone.
TRAIN_ONLY_GROUPS = {*TRAIN, *TRAIN_PARTS} - {*GENERATE, *GENERATE_PARTS}


def overridden_keys() -> set[str]:
    """Return the keys on the command line: ``model.dropout`` for a value, ``model`` for a choice of a group."""
    return {re.split(r"[=@]", word.lstrip("+~"))[0] for word in HydraConfig.get().overrides.task}


def restore_config(
    cfg: DictConfig, run_dir: RunDir, overridden: Collection[str], reads_data: bool
) -> tuple[DictConfig, bool]:
    """Return the config of a stage after training: the groups of the run with what the command line names anew.

    Returns:
        the config, and whether the run's own data is meant, so that the files that it was made from need not be read.

    Raises:
        UserError: an option that only affects training differs from the run's; ``reads_data`` allows those of the data.
    """
    if not os.path.lexists(run_dir.config):
        return cfg, False
    saved = _merge(cfg, load_config(run_dir.config))
    result = cfg.copy()
    for group in SAVED_GROUPS:
        if group != "data" or "data" not in overridden:
            result[group] = saved._get_node(group)
    for key, word, before, now in _changes(cfg, saved, set(overridden) - {"experiment", "hardware", "schedule"}):
        if _effects(key) == {"training"} and not (reads_data and DATA.fullmatch(key)):
            raise UserError(
                f"{key} only affects training, and {run_dir.folder} was trained with {before}, got {now}: "
                f"leave {word} out"
            )
        OmegaConf.update(result, key, now, force_add=True)
    return result, not any(map(DATA.fullmatch, overridden))


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
    for key, word, before, now in _changes(cfg, result, set(overridden) - {"name", "run_dir", "finetune_from"}):
        affects_training = "training" in _effects(key) and key != "prepared_dir"
        if affects_training and not may_change(run_dir, key, before, now):
            if word != "hardware":
                raise refusal(run_dir.folder, key, before, now)
            say(f"      {key}={before} stays as in the training so far")
            continue
        OmegaConf.update(result, key, now, force_add=True)
        if affects_training:
            say(f"      {key}: {before} so far, {now} from now on")
    result.name = cfg.name
    return result


def _changes(cfg: DictConfig, saved: DictConfig, words: Collection[str]) -> Iterator[tuple[str, str, Any, Any]]:
    """Yield the options that the command line sets to other values than saved ones.

    Each has the word that names it, its own or that of a group or a file, and both values.
    """
    named = {key: word for word in sorted(words) for key in _options_of(word, cfg)}
    for key, word in named.items():
        before, now = (_plain(OmegaConf.select(config, key)) for config in (saved, cfg))
        if before != now:
            yield key, word, before, now


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


def _effects(key: str) -> set[str]:
    """Return what an option affects; fairseq's options do not declare it."""
    group, name = key.split(".")[:2] if "." in key else ("", key)
    if group in SCHEMAS:
        option = SCHEMAS[group].__dataclass_fields__.get(name)
        return {*option.metadata.get("affects", TRAINING)} if option is not None else set()
    training = {"training"} if group in TRAINING_GROUPS and key not in NON_TRAINING_KEYS else set()
    return training if group in TRAIN_ONLY_GROUPS else training | {"decoding"}
