"""Write the plain fairseq command that does what a stage does."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

from fairseq.dataclass.configs import FairseqConfig
from fairseq.models import MODEL_DATACLASS_REGISTRY
from fairseq.registry import REGISTRIES
from fairseq.tasks import TASK_DATACLASS_REGISTRY
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import s2s_plugin
from s2s_plugin.datasets.manifest import MODALITIES
from s2s_plugin.stages.effects import DISPLAY_OPTIONS

# Groups of fairseq's config whose options each command has, and the parts that are chosen by name.
TRAIN = ("common", "distributed_training", "dataset", "optimization", "checkpoint", "ema")
TRAIN_PARTS = {"task": "--task", "model": "--arch", "criterion": "--criterion", "optimizer": "--optimizer",
               "lr_scheduler": "--lr-scheduler"}  # fmt: skip
GENERATE = ("common", "common_eval", "dataset", "generation")
GENERATE_PARTS = {"task": "--task", "scoring": "--scoring"}
# Options that every command states at its head, or that only shape what is printed.
OMITTED = {"_name", "data", "user_dir", "results_path", *DISPLAY_OPTIONS}


def plugin_path() -> str:
    """Return the folder of this package, relative if it is below the current one."""
    folder = Path(s2s_plugin.__file__).resolve().parent
    return str(folder.relative_to(Path.cwd())) if folder.is_relative_to(Path.cwd()) else str(folder)


def preprocess_command(cfg: DictConfig, folder: Path) -> str:
    """Return the ``fairseq-preprocess`` command from a prepared folder's pieces to its binary files."""
    source, target, pieces = cfg.data.source_lang, cfg.data.target_lang, folder / "pieces"
    if source in MODALITIES:
        words = ["fairseq-preprocess", "--only-source", "--source-lang", target, "--target-lang", source]
        dictionaries = ["--srcdict", str(pieces / f"dict.{target}.txt")]
    else:
        words = ["fairseq-preprocess", "--source-lang", source, "--target-lang", target]
        dictionaries = [
            "--srcdict",
            str(pieces / f"dict.{source}.txt"),
            "--tgtdict",
            str(pieces / f"dict.{target}.txt"),
        ]
    for split in ("train", "valid", "test"):
        words += [f"--{split}pref", str(pieces / split)]
    words += [*dictionaries, "--destdir", str(folder), "--workers", str(os.cpu_count() or 1)]
    return shlex.join(words)


def train_command(cfg: DictConfig) -> str:
    """Return the ``fairseq-train`` command for a fairseq config; ``fairseq-hydra-train`` for bf16 weights.

    ``fairseq-train --bf16`` would look for a TPU (fairseq/options.py).
    """
    if cfg.common.bf16:
        save_dir = Path(cfg.checkpoint.save_dir)
        folder = shlex.quote(str(save_dir.parent.resolve()))
        return f"fairseq-hydra-train --config-dir {folder} --config-name fairseq hydra.run.dir=."
    return _command("fairseq-train", cfg, TRAIN, TRAIN_PARTS)


def generate_command(cfg: DictConfig) -> str:
    """Return the ``fairseq-generate`` command for a fairseq config."""
    return _command("fairseq-generate", cfg, GENERATE, GENERATE_PARTS)


def _command(tool: str, cfg: DictConfig, groups: tuple[str, ...], parts: dict[str, str]) -> str:
    words = [tool, str(cfg.task.data), "--user-dir", plugin_path()]
    for part, flag in parts.items():
        if cfg.get(part) is not None:
            words += [flag, str(cfg[part]._name), *_options(cfg, part)]
    for group in groups:
        words += _options(cfg, group)
    return shlex.join(words)


def _options(cfg: DictConfig, group: str) -> list[str]:
    """Return the options of one group that differ from fairseq's defaults."""
    schema = _schema(cfg, group)
    if schema is None:
        return []
    words: list[str] = []
    instance = schema()
    for name, value in cfg[group].items():
        if name in OMITTED or not hasattr(instance, name):
            continue
        default = instance._get_default(name)
        if isinstance(default, str) and default.startswith("${"):
            if instance._get_help(name) is None:
                continue  # another group's option
            default = _resolve(cfg, group, default[2:-1])
        default = getattr(default, "value", default)
        if isinstance(value, bool):
            words += [_flag(name)] if value != bool(default) else []
        elif value is not None and value != default and _text(value) != _text(default):
            words += [_flag(name), _text(value)]
    return words


def _schema(cfg: DictConfig, group: str) -> type | None:
    """Return the dataclass of a group; of a part that is chosen by name, its own."""
    if group == "task":
        return TASK_DATACLASS_REGISTRY[cfg.task._name]
    if group == "model":
        return MODEL_DATACLASS_REGISTRY[cfg.model._name]
    if group in REGISTRIES:
        return REGISTRIES[group]["dataclass_registry"].get(cfg[group]._name)
    return FairseqConfig.__dataclass_fields__[group].default


def _resolve(cfg: DictConfig, group: str, key: str) -> Any:
    """Resolve an interpolated default as fairseq's command line does: not for parts of a registry."""
    try:
        return None if group in REGISTRIES else OmegaConf.select(cfg, key)
    except OmegaConfBaseException:
        return None


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _text(value: object) -> str:
    """Format a value for the command line."""
    if isinstance(value, list | tuple | ListConfig):
        return ",".join(str(item) for item in value)
    return str(value)
