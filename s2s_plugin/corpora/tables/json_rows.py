"""Rows of JSON and of JSON lines."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from s2s_plugin.corpora.tables.rows import Cells, Row, flatten, open_text
from s2s_plugin.errors import UserError

MAX_ITEM = 2**26  # characters of an element of a list


def read_lines(path: Path, columns: object = None, named: object = ()) -> Iterator[Row]:
    """Yield the objects of a file with one on each line."""
    with open_text(path) as text:
        for number, line in enumerate(text, start=1):
            if not line.strip():
                continue
            try:
                yield number, flatten(json.loads(line))
            except (ValueError, RecursionError) as error:
                yield number, UserError(f"{path}:{number}: expected a JSON object ({_reason(error)})")


def read(path: Path, columns: object = None, named: object = ()) -> Iterator[Row]:
    """Yield the objects of a list, of one on each line, or of a list inside an object."""
    with open_text(path) as text:
        start = text.read(1)
        while start.isspace():
            start = text.read(1)
        first = start + text.readline() if start == "{" else ""
    if start == "[":
        with open_text(path) as text:
            for number, item in enumerate(_elements(path, text), start=1):
                yield number, _cells(f"{path}:{number}", item)
        return
    if not first:
        raise UserError(f"{path}: expected a JSON list of objects, or an object on each line")
    whole = _whole(path, first)
    lists = [value for value in whole.values() if isinstance(value, list) and value and isinstance(value[0], dict)]
    if len(lists) == 1:
        yield from ((number, _cells(f"{path}:{number}", item)) for number, item in enumerate(lists[0], start=1))
    else:
        yield from read_lines(path)


def _whole(path: Path, first: str) -> dict[str, Any]:
    """Return the object of the first line; of the file if there it does not end."""
    try:
        try:
            return json.loads(first)
        except ValueError:
            with open_text(path) as text:
                return json.load(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: expected a JSON list of objects ({_reason(error)})") from None


def _cells(where: str, item: Any) -> Cells | UserError:
    try:
        return flatten(item)
    except (ValueError, RecursionError) as error:
        return UserError(f"{where}: expected a JSON object ({_reason(error)})")


def _elements(path: Path, text: IO[str]) -> Iterator[Any]:
    """Yield the elements of a JSON list, holding little more than one of them in memory."""
    decoder, number, ended, opened = json.JSONDecoder(), 1, False, False
    buffer = ""
    size = io.DEFAULT_BUFFER_SIZE
    while True:
        buffer = buffer.lstrip(" \t\r\n")
        if not opened and buffer:
            buffer, opened = buffer[1:].lstrip(" \t\r\n"), True
        if opened and buffer.startswith("]"):
            return
        try:
            item, end = decoder.raw_decode(buffer)
            rest = buffer[end:].lstrip(" \t\r\n")
            if not rest.startswith((",", "]")):
                raise json.JSONDecodeError("Expecting ',' delimiter", buffer, end)
        except (ValueError, RecursionError) as error:
            if ended or len(buffer) > MAX_ITEM or isinstance(error, RecursionError):
                raise UserError(f"{path}:{number}: broken JSON ({_reason(error)})") from None
            chunk = text.read(max(size, len(buffer)))
            buffer, ended = buffer + chunk, not chunk
            continue
        yield item
        number, buffer = number + 1, rest.removeprefix(",")


def _reason(error: Exception) -> str:
    """Return what is wrong, without the place in the line."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return error.msg if isinstance(error, json.JSONDecodeError) else str(error)
