"""Packed features: media files read once, then memory-mapped by training and generation.

``<prefix>.bin`` holds the arrays of all items, concatenated along their source steps, ``<prefix>.json`` their ids,
sizes, shape and type. Neither packing nor reading holds a corpus in memory.
"""

from __future__ import annotations

import functools
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from torch import Tensor

from s2s_plugin.datasets.frontends import Frontend
from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import file_sha256, write_json
from s2s_plugin.utils.progress import Progress

SAVE_INTERVAL = 2.0  # seconds between two records of the progress of packing
MIN_ITEMS_FOR_WORKERS = 64


# ----------------------------------------------------------------- reading


class PackedFeatures(Sequence):
    """Memory-mapped features; item i is an S_i x ... array.

    Args:
        prefix: path of the two files without suffix.

    Attributes:
        sizes: source steps of each item.

    Raises:
        UserError: the files are missing or do not belong together.
    """

    def __init__(self, prefix: Path):
        try:
            about = json.loads(prefix.with_suffix(".json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise UserError(f"{prefix}.json: no packed features; run the prepare stage") from None
        self.path, self.dtype, self.shape = prefix.with_suffix(".bin"), np.dtype(about["dtype"]), tuple(about["shape"])
        self.ids: list[str] = about["ids"]
        self.sizes = np.asarray(about["sizes"], dtype=np.int64)
        self.starts = np.cumsum(self.sizes) - self.sizes
        expected = int(self.sizes.sum() * np.prod(self.shape) * self.dtype.itemsize)
        size = self.path.stat().st_size if self.path.is_file() else 0
        if size != expected:
            raise UserError(
                f"{self.path}: expected {expected:,} bytes, got {size:,}; delete the folder and prepare again"
            )
        self._rows: np.memmap | None = None

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index):
        if self._rows is None:
            self._rows = np.memmap(self.path, self.dtype, "r", shape=(int(self.sizes.sum()), *self.shape))
        start = self.starts[index]
        return np.asarray(self._rows[start : start + self.sizes[index]])

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_rows": None}  # each worker process maps the file itself


class FeatureSource(Sequence):
    """Sources of a :class:`PairDataset`: pair i reads the features of item ``items[i]``.

    Args:
        features: of the items.
        items: item of each pair (an item with several texts makes several pairs).
        frontend: converts stored arrays to tensors.
        augment: changes a training source with a random generator.
        seed: of that generator, together with epoch and pair.
    """

    def __init__(
        self,
        features: PackedFeatures,
        items: Sequence[int] | np.ndarray,
        frontend: Frontend,
        augment: Callable[[Tensor, np.random.Generator], Tensor] | None = None,
        seed: int = 1,
    ):
        self.features, self.items, self.frontend, self.augment = features, np.asarray(items), frontend, augment
        self.seed, self.epoch = seed, 1

    @property
    def sizes(self) -> np.ndarray:
        return self.features.sizes[self.items]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index):
        source = self.frontend.to_tensor(self.features[self.items[index]])
        if self.augment is None:
            return source
        return self.augment(source, np.random.default_rng((self.seed, self.epoch, index)))

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch


# ----------------------------------------------------------------- packing


def pack(items: Sequence[Item], frontend: Frontend, prefix: Path, skip_bad: bool, workers: int = 0) -> dict[str, str]:
    """Read all items in parallel and write ``<prefix>.bin`` and ``<prefix>.json``; resume an interrupted packing.

    Args:
        items: to read.
        frontend: reads them.
        prefix: path of the two files without suffix.
        skip_bad: skip unusable items instead of raising.
        workers: number of processes; 0: one per core.

    Returns:
        The reason for each skipped item, by id.

    Raises:
        UserError: an item is unusable and ``skip_bad`` is off, or all are.
    """
    progress = PackingProgress(prefix)
    with progress.path.open("r+b" if progress.path.exists() else "wb") as file:
        file.truncate(progress.bytes)
        file.seek(progress.bytes)
        todo = items[progress.done :]
        bar = Progress(todo, f"      {prefix.name}", initial=progress.done, total=len(items), unit="file")
        with _reader(frontend, workers or os.cpu_count() or 1, len(todo)) as read:
            for item, result in zip(bar, read(todo), strict=True):
                if isinstance(result, str) and not skip_bad:
                    raise UserError(f"{result}; or skip such items with data.on_bad_item=skip")
                progress.add(item, result, file)
        progress.save(file)
    if not progress.ids:
        raise UserError(f"{prefix.name}: no usable item in {len(items):,}; reasons: {progress.skipped}")
    progress.finish()
    return progress.skipped


class PackingProgress:
    """How much of a split is packed, saved to ``<prefix>.state``."""

    SAVED = ("done", "bytes", "dtype", "shape", "ids", "sizes", "skipped")

    def __init__(self, prefix: Path):
        self.path, self.about, self.state = (prefix.with_suffix(end) for end in (".bin", ".json", ".state"))
        self.saved_at, self.done, self.bytes = time.monotonic(), 0, 0
        self.dtype, self.shape = "", ()
        self.ids: list[str] = []
        self.sizes: list[int] = []
        self.skipped: dict[str, str] = {}
        if self.state.is_file() and self.path.is_file():
            self.__dict__.update(json.loads(self.state.read_text(encoding="utf-8")))

    def add(self, item: Item, result: np.ndarray | str, file: BinaryIO) -> None:
        """Append an item's features to the file, or record why there are none."""
        self.done += 1
        if isinstance(result, str):
            self.skipped[item.id] = result
        else:
            assert not self.dtype or (self.dtype, tuple(self.shape)) == (result.dtype.name, result.shape[1:])
            self.dtype, self.shape = result.dtype.name, result.shape[1:]
            self.ids.append(item.id)
            self.sizes.append(len(result))
            self.bytes += file.write(result.tobytes())
        if time.monotonic() - self.saved_at > SAVE_INTERVAL:
            self.save(file)

    def save(self, file: BinaryIO) -> None:
        file.flush()
        os.fsync(file.fileno())
        write_json(self.state, {name: getattr(self, name) for name in self.SAVED})
        self.saved_at = time.monotonic()

    def finish(self) -> None:
        sha256 = file_sha256(self.path)
        about = {"dtype": self.dtype, "shape": self.shape, "sha256": sha256, "ids": self.ids, "sizes": self.sizes}
        write_json(self.about, about)
        self.state.unlink()


@contextmanager
def _reader(frontend: Frontend, workers: int, items: int) -> Iterator[Callable]:
    """Yield a function that reads items in order, in several processes if it pays off."""
    read = functools.partial(_load, frontend)
    if workers == 1 or items < MIN_ITEMS_FOR_WORKERS:
        yield lambda todo: map(read, todo)
        return
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        yield lambda todo: pool.imap(read, todo, chunksize=4)


def _load(frontend: Frontend, item: Item) -> np.ndarray | str:
    """Return the features, or the reason why there are none."""
    try:
        return frontend.load(item)
    except UserError as error:
        return str(error)
    except Exception as error:  # decoders raise anything on a broken file
        return f"{item.path}: cannot be read ({type(error).__name__}: {error})"
