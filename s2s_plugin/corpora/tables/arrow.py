"""Rows of Parquet and Arrow files; requires pyarrow."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from s2s_plugin.corpora.tables.rows import Row, flatten
from s2s_plugin.errors import UserError
from s2s_plugin.utils.compression import SUFFIXES, open_binary

BATCH = 1000  # rows that become Python objects at once


def read_parquet(path: Path, columns: Iterable[str] | None, named: object = ()) -> Iterator[Row]:
    """Yield the rows of a Parquet file."""

    def batches(pyarrow: Any, file: IO[bytes]) -> Iterator[Any]:
        from pyarrow import parquet

        table = parquet.ParquetFile(file)
        yield from table.iter_batches(BATCH, columns=_outer(table.schema_arrow.names, columns), use_threads=False)

    return _read(path, "Parquet", batches)


def read_arrow(path: Path, columns: Iterable[str] | None, named: object = ()) -> Iterator[Row]:
    """Yield the rows of an Arrow file or stream, such as ``datasets`` and Feather write."""

    def batches(pyarrow: Any, file: IO[bytes]) -> Iterator[Any]:
        is_stream = file.read(6) != b"ARROW1"
        file.seek(0)
        if is_stream:
            source = pyarrow.ipc.open_stream(file)
            parts = iter(source)
        else:
            source = pyarrow.ipc.open_file(file)
            parts = map(source.get_batch, range(source.num_record_batches))
        for part in parts:
            yield part if columns is None else part.select(_outer(source.schema.names, columns))

    return _read(path, "Arrow", batches)


def _outer(names: list[str], columns: Iterable[str] | None) -> list[str] | None:
    """Return the columns at the top that hold the columns that are needed; None: all."""
    if columns is None:
        return None
    return [name for name in names if any(f"{column}.".startswith(f"{name}.") for column in columns)]


def _read(path: Path, kind: str, batches: Callable[[Any, IO[bytes]], Iterator[Any]]) -> Iterator[Row]:
    try:
        import pyarrow
        import pyarrow.ipc
    except ImportError:
        raise UserError(f"{path}: requires pyarrow: pip install pyarrow") from None
    number = 0
    with open_binary(path) as compressed, tempfile.TemporaryFile() as unpacked:
        file: IO[bytes] = compressed
        if path.suffix.lower() in SUFFIXES:  # these formats are read from their end
            shutil.copyfileobj(compressed, unpacked)
            unpacked.seek(0)
            file = unpacked
        try:
            for batch in batches(pyarrow, file):
                batch.validate(full=True)  # a broken one makes pyarrow read other memory
                for start in range(0, batch.num_rows, BATCH):
                    for row in batch.slice(start, BATCH).to_pylist():
                        number += 1
                        yield number, flatten(row)
        except (pyarrow.ArrowException, UnicodeDecodeError, OSError, MemoryError) as error:  # also of a broken length
            reason = str(error).partition("\n")[0][:100]
            raise UserError(f"{path}:{number + 1}: cannot be read as {kind} ({reason})") from None
