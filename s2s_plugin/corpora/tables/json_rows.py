"""Rows of JSON and of JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from s2s_plugin.corpora.tables.rows import Row, flatten, open_text
from s2s_plugin.errors import UserError


def read_lines(path: Path, named: object = ()) -> Iterator[Row]:
    """Yield the objects of a file with one on each line."""
    with open_text(path) as text:
        for number, line in enumerate(text, start=1):
            if line.strip():
                yield _row(path, number, line)


def read(path: Path, named: object = ()) -> Iterator[Row]:
    """Yield the objects of a list, of one on each line, or of a list inside an object."""
    with open_text(path) as text:
        content = text.read()
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        if not isinstance(error, json.JSONDecodeError) or error.msg == "Extra data":
            yield from read_lines(path)
            return
        raise UserError(f"{path}:{error.lineno}: broken JSON ({error.msg})") from None
    if isinstance(value, dict):
        lists = [inner for inner in value.values() if isinstance(inner, list) and inner and isinstance(inner[0], dict)]
        value = lists[0] if len(lists) == 1 else [value]
    if not isinstance(value, list):
        raise UserError(f"{path}: expected a JSON list of objects, or an object on each line")
    yield from (_row(path, number, item) for number, item in enumerate(value, start=1))


def _row(path: Path, number: int, item: Any) -> Row:
    """Return the cells of an object, or of the text of one; or the error that it is."""
    try:
        return number, flatten(json.loads(item) if isinstance(item, str) else item)
    except RecursionError:
        reason = "nested too deeply"
    except ValueError as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
    return number, UserError(f"{path}:{number}: expected a JSON object ({reason})")
