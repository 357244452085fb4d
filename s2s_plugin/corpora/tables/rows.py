"""What all readers of tables share."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from s2s_plugin.errors import UserError
from s2s_plugin.utils.compression import open_binary

Cells = dict[str, Any]  # of a row, by the name of the column
Row = tuple[int, Cells | UserError]  # number in the file, from 1; an unusable row is the error that it is


@contextmanager
def open_text(path: Path) -> Iterator[IO[str]]:
    """Open a file as UTF-8; bytes that are not UTF-8 become surrogates, so that the row that has them can be named.

    Raises:
        UserError: the file cannot be read, or is UTF-16.
    """
    with open_binary(path) as file:
        if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            raise UserError(f"{path}: the encoding is UTF-16, expected UTF-8; convert the file, e.g. with iconv")
    with open_binary(path) as file:
        yield io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")


def flatten(value: Any, parent: str = "") -> Cells:
    """Return the cells of an object, nested ones as ``parent.child``; of a list, by number.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, list) and not parent:
        return {str(number): cell for number, cell in enumerate(value, start=1)}
    if not isinstance(value, dict):
        raise ValueError(f"got {type(value).__name__}")
    cells: Cells = {}
    for name, cell in value.items():
        if isinstance(cell, dict):
            cells |= flatten(cell, f"{parent}{name}.")
        else:
            cells[f"{parent}{name}"] = cell
    return cells
