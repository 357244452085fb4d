"""The composed config of an app, without running a stage."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from s2s_plugin.utils.paths import CONF

if TYPE_CHECKING:
    from omegaconf import DictConfig

OWN_DATA = {"data.pairs": "files", "data.source": "files", "data.dialogues": "dialogues", "data.manifest": "manifest"}


def names_app(overrides: Iterable[str]) -> bool:
    """Return whether the overrides choose an app, directly or by an experiment."""
    return any(word.startswith(("app=", "experiment=")) for word in overrides)


def imply_data(overrides: list[str]) -> list[str]:
    """Return the overrides, with the choice of ``data=`` that the user's own files need, unless there is one."""
    named = {word.lstrip("+").partition("=")[0] for word in overrides}
    implied = [f"data={kind}" for key, kind in OWN_DATA.items() if key in named]
    return overrides if "data" in named else [*implied[:1], *overrides]


def compose_named(overrides: Iterable[str], default: str = "nmt") -> DictConfig:
    """Return the config of the app or experiment among the overrides, else of the app ``default``."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from s2s_plugin.stages import schema
    from s2s_plugin.utils.console import route_logs

    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    route_logs(None, verbose=False)
    schema.register()
    named = [word for word in overrides if names_app([word])] or [f"app={default}"]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("s2s", overrides=named)
