"""The plain fairseq command that does what a stage does."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import s2s_plugin
from s2s_plugin.datasets.manifest import MODALITIES

# Groups of fairseq's config whose options each command has, and the parts that are chosen by name.
TRAIN = ("common", "distributed_training", "dataset", "optimization", "checkpoint", "ema")
TRAIN_PARTS = {"task": "--task", "model": "--arch", "criterion": "--criterion", "optimizer": "--optimizer",
               "lr_scheduler": "--lr-scheduler"}  # fmt: skip
GENERATE = ("common", "common_eval", "dataset", "generation")
GENERATE_PARTS = {"task": "--task", "scoring": "--scoring"}
# Options that shape what is printed, not what is computed.
DISPLAY = {"log_format", "log_interval", "log_file", "no_progress_bar", "user_dir", "results_path"}


def plugin_path() -> str:
    """Our package's folder, relative where it lies below the current one."""
    folder = Path(s2s_plugin.__file__).resolve().parent
    return str(folder.relative_to(Path.cwd())) if folder.is_relative_to(Path.cwd()) else str(folder)


def preprocess_command(cfg: DictConfig, folder: Path) -> str:
    """``fairseq-preprocess`` from a prepared folder's pieces to its binary files."""
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
    """``fairseq-train`` for a fairseq config; ``fairseq-hydra-train`` for bf16 weights.

    For ``fairseq-train``, ``--bf16`` means a TPU (fairseq/options.py); for fairseq's other command it does not.
    """
    if cfg.common.bf16:
        save_dir = Path(cfg.checkpoint.save_dir)
        folder = shlex.quote(str(save_dir.parent.resolve()))
        return f"fairseq-hydra-train --config-dir {folder} --config-name fairseq hydra.run.dir=."
    return _command("fairseq-train", cfg, TRAIN, TRAIN_PARTS)


def generate_command(cfg: DictConfig) -> str:
    """``fairseq-generate`` for a fairseq config."""
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
    """Options of one group that differ from fairseq's defaults."""
    from fairseq.dataclass.configs import FairseqConfig
    from fairseq.models import MODEL_DATACLASS_REGISTRY
    from fairseq.registry import REGISTRIES
    from fairseq.tasks import TASK_DATACLASS_REGISTRY

    if group == "task":
        schema = TASK_DATACLASS_REGISTRY[cfg.task._name]
    elif group == "model":
        schema = MODEL_DATACLASS_REGISTRY[cfg.model._name]
    elif group in REGISTRIES:
        schema = REGISTRIES[group]["dataclass_registry"].get(cfg[group]._name)
    else:
        schema = FairseqConfig.__dataclass_fields__[group].default
    words: list[str] = []
    instance = schema() if schema is not None else None
    for name, value in cfg[group].items():
        if name in DISPLAY or name in ("_name", "data") or instance is None or not hasattr(instance, name):
            continue
        default = instance._get_default(name)
        if isinstance(default, str) and default.startswith("${"):
            if instance._get_help(name) is None:
                continue  # another group's option
            try:  # fairseq's command line fills in those of its own groups alone
                default = None if group in REGISTRIES else OmegaConf.select(cfg, default[2:-1])
            except OmegaConfBaseException:
                default = None
        default = getattr(default, "value", default)
        if isinstance(value, bool):
            if value != bool(default):
                words.append(_flag(name))
        elif value is not None and value != default and _text(value) != _text(default):
            words += [_flag(name), _text(value)]
    return words


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _text(value: object) -> str:
    """A value as the command line takes it."""
    if isinstance(value, list | tuple | ListConfig):
        return ",".join(str(item) for item in value)
    return str(value)
