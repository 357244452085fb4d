"""Write the plain fairseq command that does what a stage does."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any

from fairseq.dataclass.configs import FairseqConfig
from fairseq.models import MODEL_DATACLASS_REGISTRY
from fairseq.registry import REGISTRIES
from fairseq.tasks import TASK_DATACLASS_REGISTRY
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from s2s_plugin.datasets.manifest import MODALITIES
from s2s_plugin.tasks.user_dir import user_dir
from s2s_plugin.utils.paths import relative_to_cwd

# Groups of fairseq's config whose options each command has, and the parts that are chosen by name.
TRAIN = ("common", "distributed_training", "dataset", "optimization", "checkpoint", "ema")
TRAIN_PARTS = {"task": "--task", "model": "--arch", "criterion": "--criterion", "optimizer": "--optimizer",
               "lr_scheduler": "--lr-scheduler"}  # fmt: skip
GENERATE = ("common", "common_eval", "dataset", "generation")
GENERATE_PARTS = {"task": "--task", "scoring": "--scoring"}
DISPLAY_OPTIONS = ("log_interval", "log_format", "log_file", "no_progress_bar")  # of common
# Options that every command states at its head, or that only shape what is printed.
OMITTED = {"_name", "data", "user_dir", "results_path", *DISPLAY_OPTIONS}
NEGATIVE_NUMBER = re.compile(r"-[\d.]+(e[-+]?\d+)?")


def preprocess_command(cfg: DictConfig, folder: Path) -> str:
    """Return the ``fairseq-preprocess`` command from a prepared folder's pieces to its binary files."""
    source, target, pieces = cfg.data.source_lang, cfg.data.target_lang, folder / "pieces"
    words = ["fairseq-preprocess"]
    if source in MODALITIES:  # the text alone, as the source
        words.append("--only-source")
        source, target = target, source
    words += ["--source-lang", source, "--target-lang", target]
    for split in ("train", "valid", "test"):
        words += [f"--{split}pref", str(pieces / split)]
    words += ["--srcdict", str(pieces / f"dict.{source}.txt")]
    if target not in MODALITIES:
        words += ["--tgtdict", str(pieces / f"dict.{target}.txt")]
    return _join([*words, "--destdir", str(folder), "--workers", str(cfg.workers or os.cpu_count() or 1)])


def train_command(cfg: DictConfig) -> str:
    """Return the ``fairseq-train`` command for a fairseq config; ``fairseq-hydra-train`` for bf16 weights.

    ``fairseq-train --bf16`` would look for a TPU (fairseq/options.py).
    """
    if cfg.common.bf16:
        folder = shlex.quote(str(Path(cfg.checkpoint.save_dir).parent.resolve()))
        return f"fairseq-hydra-train --config-dir {folder} --config-name fairseq hydra.run.dir=."
    return _command("fairseq-train", cfg, TRAIN, TRAIN_PARTS)


def generate_command(cfg: DictConfig) -> str:
    """Return the ``fairseq-generate`` command for a fairseq config."""
    return _command("fairseq-generate", cfg, GENERATE, GENERATE_PARTS)


def _command(tool: str, cfg: DictConfig, groups: tuple[str, ...], parts: dict[str, str]) -> str:
    data = str(cfg.task.data)
    words = [tool, f"./{data}" if data.startswith("-") else data, "--user-dir", str(relative_to_cwd(user_dir()))]
    for part, flag in parts.items():
        if cfg.get(part) is not None:
            words += [flag, str(cfg[part]._name), *_options(cfg, part)]
    for group in groups:
        words += _options(cfg, group)
    return _join(words)


def _join(words: list[str]) -> str:
    """Join words for a shell; a value that begins with a dash, and is no number, is joined to its option."""
    joined = words[:1]
    for word in words[1:]:
        if word.startswith("-") and not word.startswith("--") and not NEGATIVE_NUMBER.fullmatch(word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return shlex.join(joined)


def _options(cfg: DictConfig, group: str) -> list[str]:
    """Return the options of one group that differ from fairseq's defaults."""
    if (schema := _schema(cfg, group)) is None:
        return []
    words, instance = [], schema()
    for name, value in cfg[group].items():
        if name in OMITTED or not hasattr(instance, name):
            continue
        default = instance._get_default(name)
        if isinstance(default, str) and default.startswith("${"):
            if instance._get_help(name) is None:
                continue  # another group's option
            default = _resolve(cfg, group, default[2:-1])
        default = getattr(default, "value", default)
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            words += [flag] if value != bool(default) else []
        elif value is not None and value != default and _text(value) != _text(default):
            words += [flag, _text(value)]
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


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple | ListConfig) else str(value)
