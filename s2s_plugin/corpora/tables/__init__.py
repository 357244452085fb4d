"""Read pairs from a table with both sides: CSV, JSON, Parquet, Arrow, also compressed, or a folder of a dataset."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from s2s_plugin.corpora.tables import arrow, delimited, json_rows
from s2s_plugin.corpora.tables.columns import SIDES, choose, choose_source, languages_of
from s2s_plugin.corpora.tables.folders import splits
from s2s_plugin.corpora.tables.rows import Row
from s2s_plugin.errors import UserError
from s2s_plugin.utils.compression import plain_path
from s2s_plugin.utils.console import note

# by the ending of the file; they take the columns that the user has named, by which a header is recognized
READERS: dict[str, Callable[[Path, Sequence[str]], Iterator[Row]]] = {
    **dict.fromkeys((".csv", ".tsv", ".tab", ".psv", ".txt"), delimited.read),
    ".json": json_rows.read,
    **dict.fromkeys((".jsonl", ".ndjson"), json_rows.read_lines),
    **dict.fromkeys((".parquet", ".pq", ".arrow", ".feather", ".ipc"), arrow.read),
}
SPREADSHEETS = (".xls", ".xlsx", ".ods", ".numbers")
# of the files that only a reader of tables can read
ENDINGS = {*READERS, *SPREADSHEETS} - {".txt"}
SAMPLE = 1000  # rows by which columns are chosen
LINE_BREAKS = re.compile("(?:\r\n|[\n\r\v\f\x1c-\x1e\u0085\u2028\u2029])+")


class Table(NamedTuple):
    """The files of a split, and for messages the option that names them."""

    option: str
    files: list[Path]


def find(data: DictConfig, prefix: str) -> Table | None:
    """Return the table of ``data.<prefix>pairs``, or the split of that purpose in the folder ``data.pairs``."""
    split = {"valid_": "valid", "test_": "test"}.get(prefix, "train")
    if (path := data[f"{prefix}pairs"]) is not None:
        parts = splits(Path(path))
        if split not in parts and len(parts) > 1:
            raise UserError(f"{path}: the folder has no split {split}, only {', '.join(parts)}")
        return Table(f"data.{prefix}pairs", parts.get(split) or next(iter(parts.values())))
    if split == "train" or data.pairs is None:
        return None
    files = splits(Path(data.pairs)).get(split)
    return None if files is None else Table("data.pairs", files)


def table_files(path: Path) -> list[Path]:
    """Return a table's files: itself, or those of a folder."""
    return [file for files in splits(path).values() for file in files]


def languages(data: DictConfig) -> tuple[str, str]:
    """Return the languages by which the columns of ``data.pairs`` are named; else ``source`` and ``target``."""
    return languages_of(*_choose(data, table_files(Path(data.pairs))[0]))


def read_pairs(data: DictConfig, table: Table, keep_line_breaks: bool) -> Iterator[tuple[str, list[str | UserError]]]:
    """Yield where a pair is, ``file:row``, and its two cells; an unusable one is the error that it is.

    A cell may be empty. Line breaks become spaces.
    """
    for path in table.files:
        columns = _choose(data, path)
        if path == table.files[0]:
            more = f" and {len(table.files) - 1} more files" if len(table.files) > 1 else ""
            header = "" if _names(columns) else "; there is no header"
            note(f"{path}{more}: source is column {columns[0]}, target is column {columns[1]}{header}")
        for number, row in read_rows(path, _names(columns)):
            where = f"{path}:{number}"
            if isinstance(row, UserError):
                yield where, [row, row]
                continue
            yield where, [_text(where, name, row.get(name), keep_line_breaks) for name in columns]


def read_sources(path: Path, column: Any, language: str) -> Iterator[tuple[str, str | UserError]]:
    """Yield where a source is, ``file:row``, and the source; see :func:`choose_source`."""
    named = _names([language if column is None else column])
    sample = [row for _, row in islice(read_rows(path, named), SAMPLE)]
    names = list(dict.fromkeys(name for row in sample if not isinstance(row, UserError) for name in row))
    chosen = choose_source(path, names, column, language)
    for number, row in read_rows(path, named):
        where = f"{path}:{number}"
        yield where, row if isinstance(row, UserError) else _text(where, chosen, row.get(chosen), False)


def _choose(data: DictConfig, path: Path) -> tuple[str, str]:
    """Return the columns of the source and the target of a file."""
    columns = tuple(data[f"{side}_column"] for side in SIDES)
    keys = [f"{side}_lang" for side in SIDES]
    fixed = tuple(None if OmegaConf.is_interpolation(data, key) else str(data[key]) for key in keys)
    state = path.stat()
    return _sniffed(path, (state.st_mtime_ns, state.st_size), columns, fixed)


@lru_cache(maxsize=64)  # languages follow from columns, and are asked for again and again
def _sniffed(
    path: Path, state: tuple[int, int], columns: tuple[Any, ...], fixed: tuple[str | None, ...]
) -> tuple[str, str]:
    """Return the columns that :func:`choose` finds in the first rows; ``state`` tells versions of the file apart."""
    sample = [row for _, row in islice(read_rows(path, _names(columns)), SAMPLE)]
    rows = [row for row in sample if not isinstance(row, UserError)]
    if not rows:
        error = next((row for row in sample if isinstance(row, UserError)), None)
        raise error or UserError(f"{path}: the table is empty; it must hold a pair in each row")
    return choose(path, rows, dict(zip(SIDES, columns, strict=True)), dict(zip(SIDES, fixed, strict=True)))


def _names(columns: Iterable[Any]) -> list[str]:
    """Return the names among columns that may be numbers."""
    return [str(column) for column in columns if column is not None and not str(column).isdigit()]


def _text(where: str, column: str, value: Any, keep_line_breaks: bool) -> str | UserError:
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        return UserError(f"{where}: the cell of {column} must be text, got {type(value).__name__}")
    text = "" if value is None else str(value)
    if not keep_line_breaks:
        return LINE_BREAKS.sub(" ", text).strip()
    if LINE_BREAKS.search(text):
        return UserError(f"{where}: the cell of {column} has a line break, which subword.lossless=true cannot keep")
    return text if text.strip() else ""


def read_rows(path: Path, named: Sequence[str] = ()) -> Iterator[Row]:
    """Yield the rows of a file; its ending tells the format, and ``named`` are columns that the user has named."""
    ending = plain_path(path).suffix.lower()
    if ending in SPREADSHEETS:
        raise UserError(f"{path}: a spreadsheet cannot be read; save it as CSV")
    return READERS.get(ending, delimited.read)(path, named)
