"""Workarounds for fairseq, torch and Pillow; imported before any part of fairseq.

Logging: at import fairseq announces missing optional packages, and sets all logging of the process to DEBUG and to
standard error. Who imports this package first keeps their own logging; in fairseq's commands, Pillow would log every
chunk it reads.

Checkpoints: fairseq used to pickle its command line (``argparse.Namespace``) and numpy numbers of its meters. Both are
plain data; torch's safe loader (``weights_only=True``) still refuses everything else. Our own checkpoints need neither.

Processes: fairseq leaves the process group to the interpreter's exit, where gloo's threads may abort a process that has
finished its work.

Workers: fairseq takes the last batch of an epoch without asking for the end, at which torch would stop the workers of
its data loader. Left to the garbage collector, each is waited for in vain for 5 seconds, after every validation.

Damaged data: the destructor of a binarized dataset raises if its files could not be opened.

Start: two parts of fairseq that are not used here import scikit-learn and scipy.stats, a third of the start time of
every command; they are imported at their first use instead. A third one imports pyarrow, for a part of it that is no
longer there; pyarrow starts a thread, and a process with threads cannot fork safely.
"""

import argparse
import atexit
import importlib
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from torch import distributed
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from s2s_plugin.errors import UserError

logging.getLogger("fairseq.tasks.text_to_speech").setLevel(logging.WARNING)
logging.getLogger("PIL").setLevel(logging.WARNING)


@contextmanager
def unchanged_logging() -> Iterator[None]:
    """Restore the level and the handlers of the root logger."""
    level, handlers = logging.root.level, logging.root.handlers[:]
    yield
    logging.root.setLevel(level)
    logging.root.handlers[:] = handlers


class LazyModule(ModuleType):
    """Stand-in for a module, whose functions import it when called.

    fairseq imports these functions by name, which would load a module of importlib's LazyLoader at once.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: getattr(importlib.import_module(self.__name__), name)(*args, **kwargs)


def import_fairseq() -> None:
    """Import fairseq with stand-ins for the modules that only its classifiers use, unless one is imported already."""
    if any(name in sys.modules for name in ("fairseq", "sklearn", "scipy.stats")):
        return
    sklearn, metrics, stats = LazyModule("sklearn"), LazyModule("sklearn.metrics"), LazyModule("scipy.stats")
    sklearn.metrics = metrics  # type: ignore[attr-defined]
    modules: dict[str, Any] = {module.__name__: module for module in (sklearn, metrics, stats)}
    modules["pyarrow.plasma"] = None  # importing it fails, before pyarrow is imported
    sys.modules.update(modules)
    try:
        importlib.import_module("fairseq")
    finally:
        for name in modules:
            del sys.modules[name]


with unchanged_logging():
    import_fairseq()

    import fairseq.utils
    from fairseq.data import indexed_dataset, iterators


def silence_destructor(kind: Any) -> None:
    """Let a binarized dataset that could not be opened go without the traceback of its destructor."""
    original = kind.__del__

    def close(dataset: Any) -> None:
        with suppress(AttributeError):
            original(dataset)

    kind.__del__ = close


for _kind in (indexed_dataset.MMapIndexedDataset, indexed_dataset.MMapIndexedDataset.Index):
    silence_destructor(_kind)


def consume(consumer: iterators.BackgroundConsumer) -> None:
    """Take all batches from the data loader, as fairseq's function does, and stop its workers."""
    consumer._source = all_batches(consumer._source, consumer._max_len)
    fairseq_consume(consumer)


def all_batches(loader: Any, count: int | None) -> Iterator[Any]:
    """Yield the batches of a data loader; its workers stop before the last, after which fairseq may use it again."""
    batches = iter(loader)
    for number, batch in enumerate(batches, start=1):
        if number == count and isinstance(batches, _MultiProcessingDataLoaderIter):
            loader._iterator = None  # where it keeps workers for another epoch
            batches._shutdown_workers()
        yield batch


fairseq_consume = iterators.BackgroundConsumer.run
iterators.BackgroundConsumer.run = consume


def split_paths(paths: str, separator: str = os.pathsep) -> list[str]:
    """Split like fairseq's function, but not the name of a single file or folder that has a colon."""
    return [paths] if os.path.exists(paths) else fairseq_split_paths(paths, separator)  # noqa: PTH110 (takes any length)


fairseq_split_paths = fairseq.utils.split_paths
fairseq.utils.split_paths = split_paths

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
def destroy_process_group() -> None:
    """Leave the process group if its backend is gloo."""
    if distributed.is_available() and distributed.is_initialized() and distributed.get_backend() == "gloo":
        distributed.destroy_process_group()


class ReplaceUnkMixin:
    """Normalize --replace-unk when a command hands its config to a model: fairseq's only hook before it is read.

    Without a file it has the value "@@ ", the default of another option, which the commands would open as a file; an
    empty value means what was intended.
    """

    def prepare_for_inference_(self, cfg: DictConfig) -> None:
        if cfg.generation.replace_unk == "@@ ":
            cfg.generation.replace_unk = ""
        if cfg.generation.replace_unk and not Path(cfg.generation.replace_unk).is_file():
            raise UserError(f"generation.replace_unk (--replace-unk): no such file {cfg.generation.replace_unk}")
        super().prepare_for_inference_(cfg)  # type: ignore[misc]
