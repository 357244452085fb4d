"""Lines of the user's files of text, and which of them cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from s2s_plugin.errors import UserError
from s2s_plugin.utils.compression import open_binary

MAX_LINE = 20_000  # characters; a longer line is a sign of a broken file
EMPTY, UNUSABLE, LONG = "with an empty side", "unusable", f"longer than {MAX_LINE:,} characters"
Side = str | UserError  # of a pair; an unusable line is the error that it is


class BadLine(UserError):
    """A line that cannot be used, for this reason."""

    def __init__(self, message: str, reason: str):
        super().__init__(message)
        self.reason = reason


def checked_lines(path: Path, empty_lines: bool = False) -> Iterator[str | UserError]:
    """Return the lines of a UTF-8 file without their ends, as they are read; for an unusable line, its error.

    Raises:
        UserError: the file is missing, unreadable or empty.
    """
    count_lines(path)
    return read_lines(path, empty_lines)


def read_lines(path: Path, empty_lines: bool = False) -> Iterator[str | UserError]:
    """Yield what :func:`checked_lines` does, of a file that need not be looked through first."""
    with open_binary(path) as file:
        for number, raw in enumerate(file, start=1):
            line = (raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw).removesuffix(b"\n")
            yield "" if empty_lines and not line.strip() else check_line(f"{path}:{number}", line)


def count_lines(path: Path) -> int:
    """Count the lines of a file; raise UserError if all of them are blank."""
    count, blank = 0, True
    with open_binary(path) as file:
        for line in file:
            count += 1
            blank = blank and not line.strip()
    if blank:
        raise UserError(f"{path}: the file is empty; it must hold one sentence per line")
    return count


def check_line(where: str, raw: bytes) -> str | UserError:
    """Return a line as text, or the error that it is; ``where`` is ``file:line``."""
    try:
        line = raw.decode("utf-8").rstrip("\r")
    except UnicodeDecodeError as error:
        return UserError(f"{where}: byte {error.start + 1} is not UTF-8; convert the file, e.g. with iconv")
    if not line.strip():
        return BadLine(f"{where}: the line is empty; every line must hold a sentence", EMPTY)
    if len(line) > MAX_LINE:
        rule = f"a line must have at most {MAX_LINE:,} characters, got {len(line):,}; split it"
        return BadLine(f"{where}: {rule}", LONG)
    return line
