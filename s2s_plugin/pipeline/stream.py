"""Lines of a stream, a window at a time: what is there is read, what is not there yet is not waited for."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator

from s2s_plugin.errors import UserError

FIRST = 16  # lines of the first window at most; each may have twice as many as the one before
CHUNK = 2**16  # bytes to read at once
LONGEST = 2**22  # bytes of a line
FULL = 2 * LONGEST  # bytes of a window, about


def windows(file: int, largest: int, check: Callable[[str], object]) -> Iterator[tuple[int, list[str]]]:
    """Windows of at least one line, and the number of the first, from 0; lines lose the white space around them.

    A window ends where the stream pauses, or with ``largest`` lines. The first ones are smaller, so that a stream
    without pauses is answered soon too. Not more than a window is kept.

    Args:
        file: descriptor of a file, pipe or terminal with UTF-8.
        largest: number of lines.
        check: raises UserError for a line that cannot be used.

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
        texts: list[str] = []
        for raw in lines:
            text = _text(raw, number + len(texts), check)
            if isinstance(text, UserError):
                if texts:
                    yield number, texts
                raise text
            texts.append(text)
        if texts:
            yield number, texts
        number, most = number + len(texts), min(2 * most, largest)


def _ready(file: int) -> bool:
    return bool(select.select([file], [], [], 0)[0])


def _text(raw: bytes, number: int, check: Callable[[str], object]) -> str | UserError:
    where = f"standard input, line {number + 1}"
    if len(raw) > LONGEST:
        return UserError(f"{where}: more than {LONGEST:,} bytes are no sentence; split it")
    try:
        text = raw.decode("utf-8").strip()
        check(text)
    except UnicodeDecodeError as error:
        return UserError(f"{where}: byte {error.start + 1} is not UTF-8; convert it")
    except UserError as error:
        return UserError(f"{where}: {error}")
    return text
