"""The composed config of an app, without running a stage."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from s2s_plugin.cli.overrides import quoted
from s2s_plugin.errors import UserError
from s2s_plugin.stages import schema
from s2s_plugin.utils.console import route_logs
from s2s_plugin.utils.paths import CONF

CONFIG_DIR = "--config-dir="
OWN_DATA = {"data.pairs": "files", "data.source": "files", "data.dialogues": "dialogues", "data.manifest": "manifest"}


def join_config_dir(words: Sequence[str]) -> list[str]:
    """Return the words with ``--config-dir FOLDER``, a folder of configs next to ours, as one absolute word.

    Raises:
        UserError: it is no folder, or has a file with the name of one of ours or of a registered part.
    """
    registered = ConfigStore.instance().repo
    joined: list[str] = []
    rest = iter(words)
    for word in rest:
        if word.partition("=")[0] in ("--config-path", "-cp", "--config-name", "-cn"):
            raise UserError(f"{word} would replace the config of s2s; add a folder with --config-dir FOLDER")
        if word in ("--config-dir", "-cd") or word.startswith(CONFIG_DIR):
            folder = Path(word.removeprefix(CONFIG_DIR) if "=" in word else next(rest, "")).expanduser().resolve()
            if not folder.is_dir():
                raise UserError(f"--config-dir must be a folder, got {folder}")
            for path in sorted(folder.glob("*/*.yaml")):
                if (CONF / path.relative_to(folder)).exists() or path.name in registered.get(path.parent.name, ()):
                    raise UserError(f"{path} has the name of a file of s2s or of a registered part; rename it")
            word = f"{CONFIG_DIR}{folder}"
        joined.append(word)
    return joined


def config_folders(words: Iterable[str]) -> list[Path]:
    """Return the folders of configs: ours, and that of ``--config-dir``."""
    return [CONF, *(Path(word.removeprefix(CONFIG_DIR)) for word in words if word.startswith(CONFIG_DIR))]


def names_app(overrides: Iterable[str]) -> bool:
    """Return whether the overrides choose an app, directly or by an experiment."""
    return any(word.startswith(("app=", "experiment=")) for word in overrides)


def imply_data(overrides: list[str]) -> list[str]:
    """Return the overrides, with the choice of ``data=`` that the user's own files need, unless there is one."""
    named = {word.lstrip("+").partition("=")[0] for word in overrides}
    implied = [f"data={kind}" for key, kind in OWN_DATA.items() if key in named]
    return overrides if "data" in named else [*implied[:1], *overrides]


def compose_named(overrides: Sequence[str], default: str = "nmt") -> DictConfig:
    """Return the config of the app or experiment among the overrides, else of the app ``default``."""
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    route_logs(None, verbose=False)
    schema.register()
    named = [word for word in overrides if names_app([word])] or [f"app={default}"]
    _, *others = config_folders(overrides)
    named += [f"hydra.searchpath=[{','.join(quoted(str(folder)) for folder in others)}]"] if others else []
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("s2s", overrides=named)
