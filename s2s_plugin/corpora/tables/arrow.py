"""Rows of Parquet and Arrow files; requires pyarrow."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from s2s_plugin.corpora.tables.rows import Row, flatten
from s2s_plugin.errors import UserError
from s2s_plugin.utils.compression import SUFFIXES, open_binary

BATCH = 1000  # rows that become Python objects at once


def read(path: Path, named: object = ()) -> Iterator[Row]:
    """Yield the rows of a Parquet file, or of an Arrow file or stream, such as ``datasets`` and Feather write."""
    try:
        import pyarrow
    except ImportError:
        raise UserError(f"{path}: requires pyarrow: pip install pyarrow") from None
    number = 0
    with open_binary(path) as file:
        if path.suffix.lower() in SUFFIXES:  # these formats are read from their end
            file = io.BytesIO(file.read())
        try:
            for batch in batches(file):
                batch.validate(full=True)  # a broken one makes pyarrow read other memory
                for start in range(0, batch.num_rows, BATCH):
                    for row in batch.slice(start, BATCH).to_pylist():
                        number += 1
                        yield number, flatten(row)
        except (pyarrow.ArrowException, UnicodeDecodeError, OSError, MemoryError) as error:  # also of a broken length
            reason = str(error).partition("\n")[0][:100]
            raise UserError(f"{path}:{number + 1}: cannot be read as Parquet or Arrow ({reason})") from None


def batches(file: IO[bytes]) -> Iterator[Any]:
    """Return the record batches of a Parquet file, or of an Arrow file or stream."""
    from pyarrow import ipc, parquet

    magic = file.read(4)
    file.seek(0)
    if magic == b"PAR1":
        return parquet.ParquetFile(file).iter_batches(BATCH, use_threads=False)
    if magic != b"ARRO":
        return iter(ipc.open_stream(file))
    source = ipc.open_file(file)
    return map(source.get_batch, range(source.num_record_batches))
