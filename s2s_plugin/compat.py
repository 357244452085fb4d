"""Peace with the libraries around us; imported before any part of fairseq.

Quiet: fairseq announces at import which optional packages are missing, and sets all logging to DEBUG, at which
Pillow tells of every chunk it reads; neither is for our users.

Checkpoints: what an older fairseq checkpoint needs to pass torch's safe loader (``weights_only=True``).

fairseq used to pickle its command line (``argparse.Namespace``) and numpy numbers from its meters. Both are plain
data: allowing them by name keeps the loader's refusal of everything else. Our own checkpoints need none of it.

Processes: fairseq leaves their group to the interpreter's end, where gloo's threads now and then abort a process that
has done all its work.

Options: one of fairseq's commands means something else to them than to whoever typed it.

Start: two parts of fairseq that nobody here uses import scikit-learn and all of scipy.stats, a third of the time that
every command took to start; they get them when they use them.
"""

import argparse
import atexit
import importlib
import logging
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from torch import distributed

from s2s_plugin.errors import UserError

logging.getLogger("fairseq.tasks.text_to_speech").setLevel(logging.WARNING)
logging.getLogger("PIL").setLevel(logging.WARNING)


class _Later(ModuleType):
    """Stands for a module whose functions are imported by name: each is looked up when it is called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: getattr(importlib.import_module(self.__name__), name)(*args, **kwargs)


def import_fairseq() -> None:
    """Import fairseq without what only its classifiers compute scores with, unless one of them is there already."""
    if any(name in sys.modules for name in ("fairseq", "sklearn", "scipy.stats")):
        return
    sklearn, metrics, stats = _Later("sklearn"), _Later("sklearn.metrics"), _Later("scipy.stats")
    sklearn.metrics = metrics  # type: ignore[attr-defined]
    sys.modules.update({module.__name__: module for module in (sklearn, metrics, stats)})
    try:
        importlib.import_module("fairseq")
    finally:
        for module in (sklearn, metrics, stats):
            del sys.modules[module.__name__]


import_fairseq()

torch.serialization.add_safe_globals(
    [
        argparse.Namespace,
        np.ndarray,
        np.dtype,
        np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
        np._core.multiarray.scalar,  # type: ignore[attr-defined]
        np.dtypes.Int64DType,
        np.dtypes.Float64DType,
    ]
)


@atexit.register
def leave_group() -> None:
    """Of the processes that train together, where they speak by gloo."""
    if distributed.is_available() and distributed.is_initialized() and distributed.get_backend() == "gloo":
        distributed.destroy_process_group()


def normalize_replace_unk(cfg: DictConfig) -> None:
    """Normalize --replace-unk in the config of fairseq's commands, in place.

    Without a file it has the value "@@ ", the default of another option, which the commands would open as a file; an
    empty value means what was intended.

    Raises:
        UserError: there is no such file.
    """
    if cfg.generation.replace_unk == "@@ ":
        cfg.generation.replace_unk = ""
    if cfg.generation.replace_unk and not Path(cfg.generation.replace_unk).is_file():
        raise UserError(f"--replace-unk {cfg.generation.replace_unk}: no such file of source and target words")


class ReplaceUnkMixin:
    """Normalize --replace-unk when a command hands its config to a model: fairseq's only hook before it is read."""

    def prepare_for_inference_(self, cfg: DictConfig) -> None:
        normalize_replace_unk(cfg)
        super().prepare_for_inference_(cfg)  # type: ignore[misc]
