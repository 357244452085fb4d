"""The datastore: the decoder's features at each target token of a corpus, with that token.

A folder. The features stay on disk (memory-mapped), and an index of faiss, where there is one, proposes candidates, so
that a search among millions of states needs little memory.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from s2s_plugin.errors import UserError
from s2s_plugin.utils.digests import check_folder, record_digests
from s2s_plugin.utils.io import atomic_folder, read_json, read_lines, write_json, write_lines

META, KEYS, VALUES, STARTS, SOURCES, INDEX = (
    "datastore.json", "keys.npy", "values.npy", "starts.npy", "sources.txt", "index.faiss",
)  # fmt: skip
SHAPE = {"model": str, "pairs": int, "states": int, "width": int, "variance": float}
REMEDY = "make it again with s2s datastore"
MIN_INDEXED = 20_000  # states; fewer are compared one by one as fast
BLOCK = 2**15  # states compared or written at a time
PROBES = 8  # cells of the index to look into
OVERSAMPLING = 2  # candidates of the index for each neighbor
TRAINING_STATES = 50  # for each cell of the index


class Datastore:
    """N states of P pairs: keys, which are features N x D in float16, and values, the N tokens that followed.

    Attributes:
        values: N target ids; those of a pair are adjacent, in order, and end with </s>.
        starts: P + 1 rows; the first of each pair, and N.
        variance: mean squared distance of a key from the mean key, the unit of distances.
    """

    def __init__(self, folder: Path):
        check_folder(folder, REMEDY)
        if (meta := read_json(folder / META, SHAPE, REMEDY)) is None:
            raise UserError(f"{folder}: no datastore; make one with s2s datastore app=APP task.knn={folder}")
        self.folder, self.model = folder, meta["model"]
        self.variance: float = meta["variance"]
        states, pairs, width = meta["states"], meta["pairs"], meta["width"]
        self.keys = _load(folder / KEYS, np.float16, (states, width))
        self.values = torch.from_numpy(_load(folder / VALUES, np.int32, (states,)).astype(np.int64))
        self.starts = np.asarray(_load(folder / STARTS, np.int64, (pairs + 1,)))
        self.index = _read_index(folder / INDEX) if (folder / INDEX).is_file() else None

    def check_model(self, model: nn.Module, vocabulary: int) -> None:
        """Raise UserError if the states are of another model.

        A model in half precision has lost the digits that tell.
        """
        whole = next(model.parameters()).dtype == torch.float32
        if (whole and weights_digest(model) != self.model) or not 0 <= int(self.values.max()) < vocabulary:
            raise UserError(f"{self.folder}: its states are of another model; {REMEDY}")

    def nearest(self, queries: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Return the nearest states of features R x D: squared distances, nearest first, and rows; R x k each.

        k is ``count``, or N if that is less. The distance is infinite where the index has proposed fewer.
        """
        device, queries = queries.device, queries.detach().float().cpu()
        count = min(count, len(self.values))
        rows = self._all(queries, count) if self.index is None else self._candidates(queries, count)
        keys = torch.from_numpy(self.keys[rows.clamp(min=0).numpy()]).float()  # R x C x D
        distances = (keys - queries.unsqueeze(1)).square().sum(2).masked_fill(rows < 0, math.inf)
        distances, order = distances.topk(count, largest=False)
        return distances.to(device), rows.gather(1, order).clamp(min=0).to(device)

    def _all(self, queries: Tensor, count: int) -> Tensor:
        """Return the rows of the nearest states, by comparison with all."""
        best = torch.full((len(queries), count), math.inf)
        rows = torch.full((len(queries), count), -1)
        for start, block in _blocks(self.keys):
            keys = torch.from_numpy(block)
            # |q|^2, which is the same for all, is left out
            distances = torch.addmm(keys.square().sum(1), queries, keys.t(), alpha=-2)
            numbers = torch.arange(start, start + len(keys)).expand_as(distances)
            best, order = torch.cat((best, distances), 1).topk(count, largest=False)
            rows = torch.cat((rows, numbers), 1).gather(1, order)
        return rows

    def _candidates(self, queries: Tensor, count: int) -> Tensor:
        """Return the rows that the index proposes, more than ``count``; -1 where it has no more."""
        import faiss

        assert self.index is not None
        faiss.omp_set_num_threads(torch.get_num_threads())  # one in a forked worker, which cannot start threads
        _, rows = self.index.search(queries.numpy(), min(OVERSAMPLING * count, len(self.values)))
        return torch.from_numpy(rows)

    def place(self, row: int) -> tuple[int, int]:
        """Return the pair of a state, and the position of its token in the target."""
        pair = int(np.searchsorted(self.starts, row, side="right")) - 1
        return pair, row - int(self.starts[pair])

    def target(self, pair: int) -> Tensor:
        """Return the target ids of a pair."""
        return self.values[self.starts[pair] : self.starts[pair + 1]]

    def read_sources(self) -> list[str] | None:
        """Return the source texts of the pairs; None if the sources are no text."""
        path = self.folder / SOURCES
        return read_lines(path) if path.is_file() else None


def write_datastore(
    folder: Path,
    model: nn.Module,
    targets: Sequence[Tensor],
    states: Iterable[tuple[int, Tensor]],
    sources: Iterable[str] | None,
) -> Datastore:
    """Write a datastore, whole or not at all, and return it.

    Args:
        folder: to write; an older datastore there is replaced.
        model: whose states these are.
        targets: ids of the P targets, T each.
        states: the number of each pair, in any order, with its features T x D.
        sources: texts of the P sources, or None.
    """
    if folder.exists() and not (folder / META).is_file():
        raise UserError(f"{folder}: exists and is no datastore; give another task.knn=FOLDER")
    starts = np.concatenate(([0], np.cumsum([len(target) for target in targets]))).astype(np.int64)
    with atomic_folder(folder) as partial:
        np.save(partial / STARTS, starts)
        np.save(partial / VALUES, torch.cat(list(targets)).numpy().astype(np.int32))
        if sources is not None:
            write_lines(partial / SOURCES, sources)
        keys, variance = _write_keys(partial / KEYS, starts, states)
        if len(keys) >= MIN_INDEXED and find_spec("faiss") is not None:
            _write_index(partial / INDEX, keys)
        meta = {"model": weights_digest(model), "pairs": len(targets), "states": len(keys)}
        write_json(partial / META, {**meta, "width": keys.shape[1], "variance": variance})
        del keys
        record_digests(partial)
    return Datastore(folder)


def _write_keys(path: Path, starts: np.ndarray, states: Iterable[tuple[int, Tensor]]) -> tuple[np.ndarray, float]:
    """Write the features to a file as they come; return it mapped, and their variance."""
    keys, squares = None, 0.0
    total: Any = 0.0
    for pair, features in states:
        if keys is None:
            shape = int(starts[-1]), features.size(1)
            keys = np.lib.format.open_memmap(path, "w+", np.float16, shape)
        keys[starts[pair] : starts[pair + 1]] = features.numpy()
        total = total + features.double().sum(0).numpy()
        squares += float(features.double().square().sum())
    assert keys is not None
    keys.flush()
    return keys, squares / len(keys) - float(np.square(total / len(keys)).sum())


def weights_digest(model: nn.Module) -> str:
    """Return a digest of a model's weights, in hex."""
    sha = hashlib.sha256()
    for name, weights in sorted(model.state_dict().items()):
        sha.update(name.encode())
        sha.update(weights.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()[:16]


def _load(path: Path, kind: type, shape: tuple[int, ...]) -> np.ndarray:
    """Map an array of this type and shape."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); {REMEDY}") from None
    if array.dtype != kind or array.shape != shape or not array.size:
        raise UserError(f"{path}: not the array that {META} describes; {REMEDY}")
    return array


def _write_index(path: Path, keys: np.ndarray) -> None:
    """Write an index of faiss: cells of similar keys, in each 8 bits per dimension."""
    import faiss

    cells = int(math.sqrt(len(keys)))
    index: Any = faiss.index_factory(keys.shape[1], f"IVF{cells},SQ8")
    chosen = np.random.default_rng(1).choice(len(keys), min(len(keys), TRAINING_STATES * cells), replace=False)
    faiss.omp_set_num_threads(torch.get_num_threads())
    index.train(keys[np.sort(chosen)].astype(np.float32))
    for _, block in _blocks(keys):
        index.add(block)
    index.nprobe = min(PROBES, cells)
    faiss.write_index(index, str(path))


def _blocks(keys: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the keys in float32, block by block, each with its first row."""
    for start in range(0, len(keys), BLOCK):
        yield start, keys[start : start + BLOCK].astype(np.float32)


def _read_index(path: Path) -> Any:
    if find_spec("faiss") is None:
        raise UserError(f"{path} requires faiss: pip install 's2s-plugin[knn]'; or make the datastore again without it")
    import faiss

    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
