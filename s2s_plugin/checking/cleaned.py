"""Write a copy of a corpus without the training rows about which something was found."""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import json
import lzma
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from omegaconf import DictConfig

from s2s_plugin.checking.corpus import PARTS, PREFIXES, files_of
from s2s_plugin.checking.index import Index
from s2s_plugin.corpora import tables
from s2s_plugin.corpora.tables import arrow
from s2s_plugin.corpora.tables.rows import open_text
from s2s_plugin.errors import UserError
from s2s_plugin.utils.compression import open_binary, plain_path
from s2s_plugin.utils.io import atomic_folder

REMOVED = "removed.tsv"  # file, line, reason, the other row, source, target
BREAKS = str.maketrans("\t\n\r", "   ")
Numbers = Iterator[tuple[int, bool]]  # of all rows of a file in order, and whether they are kept


def check_destination(folder: Path) -> None:
    """Raise UserError if there is something at the path of the folder for the copy."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"check.write={folder}: exists and is not empty; choose a new folder")


def write_cleaned(cfg: DictConfig, index: Index, kinds: Sequence[str], folder: Path) -> tuple[int, int]:
    """Write all files of the corpus to a new folder, and the list of what is left out; return how many rows are in it.

    Only training rows are left out: held-out files stay as they are, so that scores on them stay comparable.

    Args:
        cfg: of :func:`locate`.
        index: of its rows.
        kinds: a row with one of these findings is left out, for the first of them.
        folder: appears whole or not at all.

    Returns:
        training rows kept, and rows left out.
    """
    index.run("CREATE TABLE removed (id INTEGER PRIMARY KEY, kind TEXT)")
    for kind in kinds:
        index.run("INSERT OR IGNORE INTO removed SELECT id, kind FROM finding JOIN row USING (id) WHERE kind = ? AND "
                  "part = 0", kind)  # fmt: skip
    check_destination(folder)
    with atomic_folder(folder) as partial:
        names: set[Path] = set()
        for split, prefix in PREFIXES.items():
            for paths in files_of(cfg, prefix):
                for path, name in paths:
                    if name in names:
                        raise UserError(f"check.write: two files are named {name}; rename one")
                    names.add(name)
                    (partial / name).parent.mkdir(parents=True, exist_ok=True)
                    if PARTS[split] == 0:
                        _write_kept(path, partial / name, _numbers(index, split, paths[0][0]), len(paths) > 1)
                    else:
                        shutil.copyfile(path, partial / name)
        _copy_descriptions(cfg, partial)
        _write_removed(index, partial / REMOVED)
    gone = index.value("SELECT count(*) FROM removed")
    return index.value("SELECT count(*) FROM row WHERE part = 0") - gone, gone


def _copy_descriptions(cfg: DictConfig, partial: Path) -> None:
    """Copy what else is in the folder of a dataset and describes it."""
    top = Path(cfg.data.pairs or "")
    for path in top.rglob("*.json") if cfg.data.pairs is not None and top.is_dir() else ():
        if not (partial / path.relative_to(top)).exists() and (partial / path.relative_to(top)).parent.is_dir():
            shutil.copyfile(path, partial / path.relative_to(top))


def _numbers(index: Index, split: str, path: Path) -> Numbers:
    query = """
        SELECT number, removed.id IS NULL FROM row LEFT JOIN removed ON removed.id = row.id
        WHERE split = ? AND file = ? ORDER BY row.id"""
    return ((number, bool(kept)) for number, kept in index.rows(query, split, index.file_id(path)))


def _write_kept(path: Path, out: Path, numbers: Numbers, is_text: bool) -> None:
    """Write the kept rows of a file in its format."""
    ending = plain_path(path).suffix.lower()
    if is_text:
        _copy_lines(path, out, numbers)
    elif tables.READERS.get(ending) is arrow.read:
        _copy_batches(path, out, numbers)
    elif ending == ".json" and (content := _json_list(path)) is not None:
        value, rows = content
        rows[:] = [row for row, (_, kept) in zip(list(rows), numbers, strict=True) if kept]
        with _create(out) as file:
            file.write(json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n")
    else:
        _copy_records(path, out, numbers)


def _copy_lines(path: Path, out: Path, numbers: Numbers) -> None:
    with open_binary(path) as lines, _create(out) as file:
        for line, (number, kept) in zip(lines, numbers, strict=True):
            if kept:
                file.write(line)
            elif number == 1 and line.startswith(b"\xef\xbb\xbf"):
                file.write(b"\xef\xbb\xbf")


def _copy_records(path: Path, out: Path, numbers: Numbers) -> None:
    """Copy the lines of a table, without those from the first of a row that is left out to the first of the next."""
    with open_binary(path) as raw:
        mark = b"\xef\xbb\xbf" if raw.read(3) == b"\xef\xbb\xbf" else b""
    following = next(numbers, None)
    keep = True
    with open_text(path) as lines, _create(out) as file:
        file.write(mark)
        for number, line in enumerate(lines, start=1):
            if following is not None and number == following[0]:
                keep, following = following[1], next(numbers, None)
            if keep:
                file.write(line.encode("utf-8", "surrogateescape"))


def _json_list(path: Path) -> tuple[Any, list] | None:
    """Return the content of a JSON file and the list of rows in it; None if it has an object on each line."""
    with open_text(path) as text:
        content = text.read()
    try:
        value = json.loads(content)
    except json.JSONDecodeError:
        return None
    if isinstance(value, list):
        return value, value
    lists = [inner for inner in value.values() if isinstance(inner, list) and inner and isinstance(inner[0], dict)]
    return (value, lists[0]) if len(lists) == 1 else None


def _copy_batches(path: Path, out: Path, numbers: Numbers) -> None:
    import pyarrow
    from pyarrow import ipc, parquet

    with open_binary(path) as file, _create(out) as sink:
        source = io.BytesIO(file.read()) if plain_path(path) != path else file
        magic = source.read(4)
        source.seek(0)
        writer: Any = None
        for batch in arrow.batches(source):
            kept = pyarrow.array([next(numbers)[1] for _ in range(batch.num_rows)])
            if writer is None:
                create: Callable = {b"PAR1": parquet.ParquetWriter, b"ARRO": ipc.new_file}.get(magic, ipc.new_stream)
                writer = create(sink, batch.schema)
            writer.write_batch(batch.filter(kept))
        if writer is not None:
            writer.close()


@contextmanager
def _create(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing, compressed as its name says."""
    suffix = path.suffix.lower() if plain_path(path) != path else ""
    with path.open("wb") as raw:
        if suffix:
            with COMPRESS[suffix](raw) as file:
                yield file
        else:
            yield raw


def _zstandard(raw: IO[bytes]) -> Any:
    import zstandard

    return zstandard.ZstdCompressor().stream_writer(raw, closefd=False)


COMPRESS: dict[str, Callable[[Any], Any]] = {
    ".gz": functools.partial(gzip.GzipFile, "", "wb", 9, mtime=0),  # the same bytes every time
    ".bz2": functools.partial(bz2.BZ2File, mode="wb"),
    ".xz": functools.partial(lzma.LZMAFile, mode="wb"),
    ".zst": _zstandard,
}


def _write_removed(index: Index, path: Path) -> None:
    query = """
        SELECT f.path, row.number, removed.kind, detail, coalesce(g.path || ':' || other.number, ''),
            row.source, row.target
        FROM removed JOIN row USING (id) JOIN file f ON f.id = row.file
            JOIN finding ON finding.id = row.id AND finding.kind = removed.kind
            LEFT JOIN row other ON other.id = partner LEFT JOIN file g ON g.id = other.file
        ORDER BY removed.id"""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("file\tline\treason\tdetail\tother\tsource\ttarget\n")
        for row in index.rows(query):
            file.write("\t".join(str(cell).translate(BREAKS) for cell in row) + "\n")
