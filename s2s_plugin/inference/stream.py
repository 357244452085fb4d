"""Read the lines of a stream in windows: process what has arrived, never wait for more than one line."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from typing import TypeVar

from s2s_plugin.errors import UserError

FIRST_WINDOW = 16  # lines at most; each window may have twice as many as the one before
CHUNK = 2**16  # bytes to read at once
BOM = b"\xef\xbb\xbf"  # that some programs write at the beginning of a file
MAX_LINE = 2**22  # bytes
MAX_WINDOW = 2 * MAX_LINE  # bytes, about

T = TypeVar("T")


def windows(
    file: int, max_lines: int, parse: Callable[[str], T], name: str = "standard input"
) -> Iterator[tuple[int, list[T]]]:
    """Yield windows of at least one parsed line, each with the number of its first line, from 0.

    A window ends where the stream pauses, or with ``max_lines`` lines. The first ones are smaller, so that a stream
    without pauses is answered soon too. No more than one window is buffered.

    Args:
        file: descriptor of a file, pipe or terminal with UTF-8.
        max_lines: of a window.
        parse: applied to each line, without its end; raises UserError if the line is unusable.
        name: of the file, for messages.

    Raises:
        UserError: a line is unusable, not UTF-8 or too long; the lines before it have been yielded.
    """
    buffer, ended, number, limit = b"", False, 0, min(FIRST_WINDOW, max_lines)
    while buffer or not ended:
        while not ended and _wants_more(file, buffer, limit):
            chunk = os.read(file, CHUNK)
            buffer, ended = buffer + chunk, not chunk
        *lines, buffer = buffer.split(b"\n", limit)
        if ended and buffer and len(lines) < limit:
            lines, buffer = [*lines, buffer], b""
        elif len(buffer) > MAX_LINE and b"\n" not in buffer:
            lines = [*lines, buffer]  # refused below
        parsed: list[T] = []
        for line in lines:
            try:
                first = number + len(parsed) == 0
                parsed.append(parse(_decode(line.removeprefix(BOM) if first else line)))
            except UserError as error:
                if parsed:
                    yield number, parsed
                raise UserError(f"{name}, line {number + len(parsed) + 1}: {error}") from None
        if parsed:
            yield number, parsed
        number, limit = number + len(parsed), min(2 * limit, max_lines)


def _wants_more(file: int, buffer: bytes, max_lines: int) -> bool:
    """Return whether to read on: the window has room, and either has no line yet or would not have to wait."""
    if buffer.count(b"\n") >= max_lines or len(buffer) >= MAX_WINDOW:
        return False
    return b"\n" not in buffer or bool(select.select([file], [], [], 0)[0])


def _decode(line: bytes) -> str:
    if len(line) > MAX_LINE:
        raise UserError(f"a line must have at most {MAX_LINE:,} bytes; split it")
    try:
        return line.decode("utf-8").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise UserError(f"byte {error.start + 1} is not UTF-8; convert it") from None
