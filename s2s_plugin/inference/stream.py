"""Read the lines of a stream in windows: process what has arrived, never wait for more than one line."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator

from s2s_plugin.errors import UserError

FIRST_WINDOW = 16  # lines at most; each window may have twice as many as the one before
CHUNK = 2**16  # bytes to read at once
BOM = b"\xef\xbb\xbf"  # that some programs write at the beginning of a file
MAX_LINE_BYTES = 2**22  # bytes
MAX_WINDOW = 2 * MAX_LINE_BYTES  # bytes, about

Line = str | UserError  # an unusable line is the error that it is


def windows(file: int, max_lines: int, name: str = "standard input") -> Iterator[list[tuple[str, Line]]]:
    """Yield windows of at least one line, each after where it is: ``name, line 1``.

    A window ends where the stream pauses, or with ``max_lines`` lines. The first ones are smaller, so that a stream
    without pauses is answered soon too. No more than one window is buffered.

    Args:
        file: descriptor of a file, pipe or terminal with UTF-8.
        max_lines: of a window.
        name: of the file.
    """
    buffer, ended, number, limit = b"", False, 0, min(FIRST_WINDOW, max_lines)
    while buffer or not ended:
        while not ended and _wants_more(file, buffer, limit):
            unfinished = buffer.rfind(b"\n") + 1
            chunk = os.read(file, CHUNK)
            buffer, ended = buffer[: unfinished + MAX_LINE_BYTES + 1] + chunk, not chunk
        *lines, buffer = buffer.split(b"\n", limit)
        if ended and buffer and len(lines) < limit:
            lines, buffer = [*lines, buffer], b""
        if lines and number == 0:
            lines[0] = lines[0].removeprefix(BOM)
        if lines:
            yield [(f"{name}, line {place}", decode(line)) for place, line in enumerate(lines, start=number + 1)]
        number, limit = number + len(lines), min(2 * limit, max_lines)


def _wants_more(file: int, buffer: bytes, max_lines: int) -> bool:
    """Return whether to read on: the window has room, and either has no line yet or would not have to wait."""
    if buffer.count(b"\n") >= max_lines or len(buffer) >= MAX_WINDOW:
        return False
    return b"\n" not in buffer or bool(select.select([file], [], [], 0)[0])


def decode(line: bytes) -> Line:
    """Return a line as text, without carriage returns at its end, or why it is none."""
    if len(line) > MAX_LINE_BYTES:
        return UserError(f"a line must have at most {MAX_LINE_BYTES:,} bytes; split it")
    try:
        return line.decode("utf-8").rstrip("\r")
    except UnicodeDecodeError as error:
        return UserError(f"byte {error.start + 1} is not UTF-8; convert it")
