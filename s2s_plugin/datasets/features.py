"""Packed features: media files read once, then memory-mapped by training and generation.

``<prefix>.bin`` holds the arrays of all items, concatenated along their source steps, ``<prefix>.json`` what they are.
"""

from __future__ import annotations

import copy
import functools
import math
import os
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from torch import Tensor

from s2s_plugin.datasets.frontends import Frontend, load
from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError
from s2s_plugin.utils.digests import check_digest, crc32
from s2s_plugin.utils.io import file_sha256, read_json, write_json
from s2s_plugin.utils.progress import Progress
from s2s_plugin.utils.workers import FEWER_WORKERS, Workers

SAVE_INTERVAL = 2.0  # seconds between two records of the progress of packing
MIN_ITEMS_FOR_WORKERS = 64
ABOUT = {"dtype": str, "shape": [int], "ids": [str], "sizes": [int], "skipped?": {str: str}}
PROGRESS = ABOUT | {"done": int, "bytes": int, "checksum": int}
DTYPES = ("float16", "float32", "uint8")


class PackedFeatures(Sequence):
    """Memory-mapped features at ``prefix``; item i is an S_i x ... array. ``sizes``: source steps of each.

    ``skipped`` has the reasons, by id, why items are missing, or blank in a held-out set.

    Raises:
        UserError: the files are missing or do not belong together.
    """

    def __init__(self, prefix: Path):
        check_digest(prefix.with_suffix(".json"))
        about = read_json(prefix.with_suffix(".json"), ABOUT)
        if about is None:
            raise UserError(f"{prefix}.json: no packed features; run the prepare stage")
        sizes = about["sizes"]
        if about["dtype"] not in DTYPES or len(about["ids"]) != len(sizes) or min(sizes, default=0) < 0:
            raise UserError(f"{prefix}.json: damaged; delete its folder, prepare again")
        self.path, self.dtype, self.shape = prefix.with_suffix(".bin"), np.dtype(about["dtype"]), tuple(about["shape"])
        self.ids: list[str] = about["ids"]
        self.skipped: dict[str, str] = about.get("skipped", {})
        self.sizes = np.asarray(sizes, dtype=np.int64)
        self.starts = np.cumsum(self.sizes) - self.sizes
        expected = sum(sizes) * math.prod(self.shape) * self.dtype.itemsize
        size = self.path.stat().st_size if self.path.is_file() else 0
        if size != expected:
            raise UserError(f"{self.path}: expected {expected:,} bytes, got {size:,}; delete its folder, prepare again")
        check_digest(self.path)
        self._steps = int(self.sizes.sum())  # of all items in the file
        self._rows: np.memmap | None = None

    def select(self, items: Sequence[Item], manifest: Path) -> PackedFeatures:
        """Return the features of these items of a manifest alone.

        Raises:
            UserError: one of them has none.
        """
        numbers, selected = {name: number for number, name in enumerate(self.ids)}, copy.copy(self)
        selected.ids = [item.id for item in items]
        if not numbers.keys() >= set(selected.ids):
            raise UserError(f"{manifest}: its items differ from those of {self.path}; run the prepare stage again")
        chosen = [numbers[name] for name in selected.ids]
        selected.sizes, selected.starts = self.sizes[chosen], self.starts[chosen]
        return selected

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index):
        if self._rows is None:
            self._rows = np.memmap(self.path, self.dtype, "r", shape=(self._steps, *self.shape))
        start = self.starts[index]
        return np.asarray(self._rows[start : start + self.sizes[index]])

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_rows": None}  # each worker process maps the file itself


@dataclass(eq=False)
class FeatureSource(Sequence):
    """Sources of a :class:`PairDataset`: pair i reads the features of item ``items[i]``."""

    features: PackedFeatures
    items: Sequence[int] | np.ndarray  # of each pair (an item with several texts makes several pairs)
    frontend: Frontend  # converts stored arrays to tensors
    augment: Callable[[Tensor, np.random.Generator], Tensor] | None = None  # changes a training source
    seed: int = 1  # of its random generator, together with epoch and pair
    epoch: int = 1

    def __post_init__(self):
        if self.features.shape != self.frontend.shape:
            expected, got = (" x ".join(map(str, each.shape)) for each in (self.frontend, self.features))
            raise UserError(f"{self.features.path}: a source step must be {expected}, got {got}; prepare again")
        self.items = np.asarray(self.items)
        self.sizes = self.features.sizes[self.items]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index):
        source = self.frontend.to_tensor(self.features[self.items[index]])
        if self.augment is None:
            return source
        return self.augment(source, np.random.default_rng((self.seed, self.epoch, index)))

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch


def pack(
    items: Sequence[Item],
    frontend: Frontend,
    prefix: Path,
    skip_bad: bool,
    workers: int | None = None,
    keep_all: bool = False,
) -> dict[str, str]:
    """Read all items in parallel and write ``<prefix>.bin`` and ``<prefix>.json``; resume an interrupted packing.

    Args:
        items: with different ids.
        frontend: reads them.
        prefix: of the files.
        skip_bad: leave out unusable items.
        workers: number of processes; None: one for each core.
        keep_all: put a blank signal, silent or black, in the place of an item that would be left out.

    Returns:
        the reason for each skipped item, by id.

    Raises:
        UserError: an item is unusable and ``skip_bad`` is off, or all are.
    """
    data, about, state = (prefix.with_suffix(end) for end in (".bin", ".json", ".state"))
    saved = read_json(state, PROGRESS) if data.is_file() else None
    progress = PackingProgress(**(saved or {}))
    todo, read = items[progress.done :], functools.partial(_load, frontend)
    # As many steps as a step is wide: so an image has its size, and no encoder gets too few.
    blank = np.zeros((frontend.shape[0], *frontend.shape), frontend.dtype) if keep_all else None
    parallel = workers != 1 and len(todo) >= MIN_ITEMS_FOR_WORKERS
    if progress.bytes and crc32(data, progress.bytes) != f"{progress.checksum:08x}":
        raise UserError(f"{data}: damaged since packing was interrupted; delete {data.parent} and prepare again")
    pool = Workers(workers or os.cpu_count() or 1, read) if parallel else None
    with data.open("r+b" if data.exists() else "wb") as file, pool or nullcontext():
        file.truncate(progress.bytes)
        file.seek(progress.bytes)
        results = pool.imap(todo, chunksize=4) if pool else map(read, todo)
        bar = Progress(todo, f"      {prefix.name}", initial=progress.done, total=len(items), unit="file")
        saved_at = time.monotonic()
        for item, result in zip(bar, results, strict=True):
            if isinstance(result, str) and not skip_bad:
                raise UserError(f"{item.where or item.id}: {result}; or skip such items with data.on_bad_item=skip")
            progress.add(item, result, file, blank)
            if pool:
                last = item.where or item.path
                pool.remedy = f"{FEWER_WORKERS}, or delete what crashes its decoder, soon after {last}"
            if time.monotonic() - saved_at > SAVE_INTERVAL:
                progress.save(state, file)
                saved_at = time.monotonic()
        progress.save(state, file)
    if len(progress.skipped) == len(items):
        raise UserError(f"{prefix.name}: no usable item in {len(items):,}; reasons: {progress.skipped}")
    summary = {"dtype": progress.dtype, "shape": progress.shape, "sha256": file_sha256(data)}
    write_json(about, {**summary, "ids": progress.ids, "sizes": progress.sizes, "skipped": progress.skipped})
    state.unlink()
    return progress.skipped


@dataclass
class PackingProgress:
    """How much of a split is packed, saved to ``<prefix>.state``."""

    done: int = 0
    bytes: int = 0
    checksum: int = 0  # CRC-32 of these bytes
    dtype: str = ""
    shape: Sequence[int] = ()
    ids: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def add(self, item: Item, result: np.ndarray | str, file: BinaryIO, blank: np.ndarray | None) -> None:
        """Append an item's features to the file, or record why there are none and append a ``blank``."""
        self.done += 1
        features = blank if isinstance(result, str) else result
        if isinstance(result, str):
            self.skipped[item.id] = result
        if features is not None:
            self.dtype, self.shape = features.dtype.name, features.shape[1:]
            self.ids.append(item.id)
            self.sizes.append(len(features))
            content = features.tobytes()
            self.bytes += file.write(content)
            self.checksum = zlib.crc32(content, self.checksum)

    def save(self, state: Path, file: BinaryIO) -> None:
        file.flush()
        os.fsync(file.fileno())
        write_json(state, vars(self))


def _load(frontend: Frontend, item: Item) -> np.ndarray | str:
    """Return the features, or the reason why there are none."""
    try:
        return load(frontend, item)
    except UserError as error:
        return str(error)
