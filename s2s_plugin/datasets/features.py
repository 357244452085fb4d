"""Packed features: media files read once, then memory-mapped by training and generation.

``<prefix>.bin`` holds the arrays of all items one after another along their source steps, ``<prefix>.json`` what they
are. Neither packing nor reading holds a corpus in memory.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from torch import Tensor

from s2s_plugin.datasets.frontends import Frontend
from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import file_sha256, write_json
from s2s_plugin.utils.progress import Progress

NOTE_EVERY = 2.0  # seconds between two notes of how far packing has come
FEW = 64  # items that are not worth further processes


# ----------------------------------------------------------------- reading


class PackedFeatures(Sequence):
    """Item i is an S_i x ... array, read from disk when asked for.

    Args:
        prefix: of the two files.

    Attributes:
        sizes: source steps of each item.

    Raises:
        UserError: the files are missing or do not belong together.
    """

    def __init__(self, prefix: Path):
        try:
            about = json.loads(prefix.with_suffix(".json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise UserError(f"{prefix}.json: no packed features here; run the prepare stage") from None
        self.path, self.dtype, self.shape = prefix.with_suffix(".bin"), np.dtype(about["dtype"]), tuple(about["shape"])
        self.ids: list[str] = about["ids"]
        self.sizes = np.asarray(about["sizes"], dtype=np.int64)
        self.starts = np.cumsum(self.sizes) - self.sizes
        expected = int(self.sizes.sum() * np.prod(self.shape) * self.dtype.itemsize)
        found = self.path.stat().st_size if self.path.is_file() else 0
        if found != expected:
            raise UserError(
                f"{self.path}: {found:,} bytes instead of {expected:,}; delete the folder and prepare again"
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
        return {**self.__dict__, "_rows": None}  # every worker process maps the file itself


class FeatureSource(Sequence):
    """Sources of a :class:`PairDataset`: pair i reads the features of item ``items[i]``.

    Args:
        features: of the items.
        items: item of each pair (an item with several texts makes several pairs).
        frontend: turns stored arrays into tensors.
        augment: changes a tensor with the given random generator, in training.
        seed: with the epoch and the pair it determines what ``augment`` draws.
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
    """Read all items with all cores and write ``<prefix>.bin`` and ``<prefix>.json``.

    A packing that was stopped goes on where it was.

    Args:
        skip_bad: leave unusable items out instead of raising.
        workers: processes; 0: one for each core.

    Returns:
        id of each item that was left out, and why.

    Raises:
        UserError: an item is unusable and not to be skipped, or none is left.
    """
    state = _State(prefix)
    with state.path.open("r+b" if state.path.exists() else "wb") as file:
        file.truncate(state.bytes)
        file.seek(state.bytes)
        todo = items[state.done :]
        bar = Progress(todo, f"      {prefix.name}", initial=state.done, total=len(items), unit="file")
        with _reader(frontend, workers or os.cpu_count() or 1, len(todo)) as read:
            for item, found in zip(bar, read(todo), strict=True):
                if isinstance(found, str) and not skip_bad:
                    raise UserError(f"{found}; or leave such items out with data.on_bad_item=skip")
                state.add(item, found, file)
        state.save(file)
    if not state.ids:
        raise UserError(f"{prefix.name}: none of {len(items):,} items is usable; the first: {state.skipped}")
    state.finish()
    return state.skipped


class _State:
    """How far the packing of one split has come, kept beside it."""

    def __init__(self, prefix: Path):
        self.path, self.about, self.saved = (prefix.with_suffix(end) for end in (".bin", ".json", ".state"))
        self.noted, self.done, self.bytes = time.monotonic(), 0, 0
        self.dtype, self.shape = "", ()
        self.ids: list[str] = []
        self.sizes: list[int] = []
        self.skipped: dict[str, str] = {}
        if self.saved.is_file() and self.path.is_file():
            self.__dict__.update(json.loads(self.saved.read_text(encoding="utf-8")))

    def add(self, item: Item, found: np.ndarray | str, file) -> None:
        self.done += 1
        if isinstance(found, str):
            self.skipped[item.id] = found
        else:
            assert not self.dtype or (self.dtype, tuple(self.shape)) == (found.dtype.name, found.shape[1:])
            self.dtype, self.shape = found.dtype.name, found.shape[1:]
            self.ids.append(item.id)
            self.sizes.append(len(found))
            self.bytes += file.write(found.tobytes())
        if time.monotonic() - self.noted > NOTE_EVERY:
            self.save(file)

    def save(self, file) -> None:
        file.flush()
        os.fsync(file.fileno())
        names = ("done", "bytes", "dtype", "shape", "ids", "sizes", "skipped")
        write_json(self.saved, {name: getattr(self, name) for name in names})
        self.noted = time.monotonic()

    def finish(self) -> None:
        sha256 = file_sha256(self.path)
        about = {"dtype": self.dtype, "shape": self.shape, "sha256": sha256, "ids": self.ids, "sizes": self.sizes}
        write_json(self.about, about)
        self.saved.unlink()


@contextmanager
def _reader(frontend: Frontend, workers: int, items: int) -> Iterator[Callable]:
    """A function that reads items, in their order, in several processes."""
    if workers == 1 or items < FEW:
        yield lambda todo: (_load((frontend, item)) for item in todo)
        return
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        yield lambda todo: pool.imap(_load, ((frontend, item) for item in todo), chunksize=4)


def _load(job: tuple[Frontend, Item]) -> np.ndarray | str:
    """Features, or why there are none."""
    frontend, item = job
    try:
        return frontend.load(item)
    except UserError as error:
        return str(error)
    except Exception as error:  # whatever a decoder makes of a broken file
        return f"{item.path}: cannot be read ({type(error).__name__}: {error})"
