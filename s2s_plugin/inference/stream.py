"""Lines of a stream, a window at a time: what is there is read, what is not there yet is not waited for."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from typing import TypeVar

from s2s_plugin.errors import UserError

FIRST = 16  # lines of the first window at most; each may have twice as many as the one before
CHUNK = 2**16  # bytes to read at once
LONGEST = 2**22  # bytes of a line
FULL = 2 * LONGEST  # bytes of a window, about

T = TypeVar("T")


def windows(file: int, largest: int, take: Callable[[str], T]) -> Iterator[tuple[int, list[T]]]:
    """Windows of at least one line, and the number of the first, from 0; lines lose the white space around them.

    A window ends where the stream pauses, or with ``largest`` lines. The first ones are smaller, so that a stream
    without pauses is answered soon too. Not more than a window is kept.

    Args:
        file: descriptor of a file, pipe or terminal with UTF-8.
        largest: number of lines.
        take: what to make of a line; raises UserError if it cannot be used.

    Raises:
        UserError: a line cannot be used, is not UTF-8 or too long; what comes before it has been given.
    """
    read, ended, number, most = b"", False, 0, min(FIRST, largest)
    while read or not ended:
        while not ended and read.count(b"\n") < most and len(read) < FULL and (b"\n" not in read or _ready(file)):
            chunk = os.read(file, CHUNK)
            read, ended = read + chunk, not chunk
        *lines, read = read.split(b"\n", most)
        if ended and read and len(lines) < most:
            lines, read = [*lines, read], b""
        elif len(read) > LONGEST and b"\n" not in read:
            lines = [*lines, read]  # which is refused below
        taken: list[T] = []
        for raw in lines:
            try:
                taken.append(take(_text(raw)))
            except UserError as error:
                if taken:
                    yield number, taken
                raise UserError(f"standard input, line {number + len(taken) + 1}: {error}") from None
        if taken:
            yield number, taken
        number, most = number + len(taken), min(2 * most, largest)


def _ready(file: int) -> bool:
    return bool(select.select([file], [], [], 0)[0])


def _text(raw: bytes) -> str:
    if len(raw) > LONGEST:
        raise UserError(f"more than {LONGEST:,} bytes are no sentence; split it")
    try:
        return raw.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise UserError(f"byte {error.start + 1} is not UTF-8; convert it") from None
