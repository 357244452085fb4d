"""Rows of CSV, TSV and their relatives; delimiter, quotation marks and header are recognized."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple

from s2s_plugin.corpora.tables.columns import is_known
from s2s_plugin.corpora.tables.rows import Row, open_text
from s2s_plugin.errors import UserError
from s2s_plugin.utils.compression import plain_path

SAMPLE = 1000  # lines by which a dialect is recognized
SAMPLE_CHARS = 2**20
DELIMITERS = ",;\t|"
MAX_NAME = 40  # characters of a column's name
IDENTIFIER = re.compile(r"[^\W\d][\w.-]*")


class Dialect(NamedTuple):
    """How a delimited text is written."""

    delimiter: str
    quoted: bool  # whether quotation marks enclose cells, or are text
    names: list[str]  # of the columns; "1", "2", ... without a header
    header: bool


def read(path: Path, named: Collection[str]) -> Iterator[Row]:
    """Yield the rows of a delimited text; a first row with one of the columns ``named`` by the user is the header."""
    with open_text(path) as text:
        sample = list(islice(_lines(text, SAMPLE_CHARS), SAMPLE))
    preface = 1 if sample and sample[0].lower().startswith("sep=") else 0  # a line for Excel that names the delimiter
    dialect = _dialect(path, sample[preface:], named)
    width = len(dialect.names)
    with open_text(path) as text:
        for number, row in _parse(dialect, islice(text, preface, None), first=preface + 1):
            if isinstance(row, csv.Error):
                hint = "; is a quotation mark not closed?" if dialect.quoted else ""
                yield number, UserError(f"{path}:{number}: {row}{hint}")
            elif not row or (number == preface + 1 and dialect.header):
                continue
            elif len(row) < width or any(row[width:]):
                yield number, UserError(f"{path}:{number}: expected {width} cells, got {len(row)}")
            else:
                yield number, dict(zip(dialect.names, row, strict=False))


def _lines(text: IO[str], size: int) -> Iterator[str]:
    """Yield lines of at most ``size`` characters in all."""
    while size > 0 and (line := text.readline(size)):
        size -= len(line)
        yield line


def _parse(dialect: Dialect, lines: Iterable[str], first: int = 1) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """Yield the rows with the number of the line each begins on, from ``first``; an error does not end them."""
    rows = csv.reader(
        iter(lines),
        delimiter=dialect.delimiter,
        quoting=csv.QUOTE_MINIMAL if dialect.quoted else csv.QUOTE_NONE,
        strict=True,
    )
    while True:
        number = first + rows.line_num  # a cell may hold line breaks
        try:
            yield number, next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, error


def _dialect(path: Path, sample: list[str], named: Collection[str]) -> Dialect:
    """Return the dialect by which most rows have the same number of cells, at least two."""
    ending = plain_path(path).suffix.lower()
    first = {".tsv": "\t", ".tab": "\t", ".txt": "\t", ".psv": "|"}.get(ending, ",")
    best, best_share, width = Dialect(first, True, [], False), 0.0, 0
    best_rows: list[list[str]] = [[]]
    for delimiter in sorted(DELIMITERS, key=lambda each: each != first):
        for quoted in (True, False):
            dialect = Dialect(delimiter, quoted, [], False)
            rows = [[] if isinstance(row, csv.Error) else row for _, row in _parse(dialect, sample) if row]
            [(size, number)] = Counter(map(len, rows)).most_common(1) or [(0, 0)]
            share = number / len(rows) if size > 1 else 0.0
            if not quoted and delimiter == "\t" and not _has_quotes(rows):
                share *= 1 + 1e-6  # in TSV, quotation marks are text unless there are signs that they are not
            elif not quoted and delimiter != "\t" and _has_quotes(rows, majority=True):
                continue  # a few rows with mistakes do not make them text
            if share > best_share:
                best, best_share, best_rows, width = dialect, share, rows, size
    if not width:
        raise UserError(f"{path}: expected a table, with columns separated by comma, semicolon, tab or |")
    cells = [cell.strip() for cell in best_rows[0]]
    names = [str(number) for number in range(1, width + 1)]
    header = len(cells) == width and (not set(cells).isdisjoint(named) or _is_header(cells, best_rows[1:]))
    if header:
        names = [cell if cell and cells.count(cell) == 1 else names[place] for place, cell in enumerate(cells)]
    return best._replace(names=names, header=header)


def _has_quotes(rows: list[list[str]], majority: bool = False) -> bool:
    """Return whether quotation marks around raw cells are the table's: around all, or with doubled ones between.

    ``majority``: it is enough that most of the marks that open a cell are closed at its end.
    """
    cells = [cell for row in rows for cell in row if cell]
    quoted = [cell for cell in cells if len(cell) > 1 and cell[0] == cell[-1] == '"']
    opened = [cell for cell in cells if cell[0] == '"'] if majority else cells
    doubled = any('""' in cell[1:-1] and '"' not in cell[1:-1].replace('""', "") for cell in quoted)
    return doubled or (2 * len(quoted) > len(opened) if majority else 0 < len(quoted) == len(cells))


def _is_header(first: list[str], rows: list[list[str]]) -> bool:
    """Return whether the first row names the columns: known names, or single words above longer texts."""
    if sum(map(is_known, first)) > 1 and all(len(cell) < MAX_NAME for cell in first):
        return True
    words = all(map(IDENTIFIER.fullmatch, filter(None, first))) and len(set(first)) == len(first)
    texts = [cell for row in rows for cell in row if not cell.replace(".", "").isdigit()]
    return words and 2 * sum(" " in cell.strip() for cell in texts) > len(texts)
