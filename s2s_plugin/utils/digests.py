"""Checksums of a folder's files, written once by the stage that makes it and checked by whoever opens a file.

CRC-32 notices flipped bits, zeros and cuts at several GB/s, faster than the file is read; it is no protection against
a forger.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterator
from pathlib import Path

from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import read_json, read_lines, write_json

FILE = "digests.json"  # in the folder
BLOCK = 2**20  # bytes read at a time: stays in the cache of a core


def crc32(path: Path, size: int | None = None) -> str:
    """Return the CRC-32 of a file's content, or of its first ``size`` bytes, in hex.

    Raises:
        UserError: the file cannot be read.
    """
    value, remaining = 0, size
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK if remaining is None else min(BLOCK, remaining)):
                value = zlib.crc32(block, value)
                remaining = None if remaining is None else remaining - len(block)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    return f"{value:08x}"


def record_digests(folder: Path) -> None:
    """Write the digests of all files in a folder and below."""
    write_json(folder / FILE, {str(path.relative_to(folder)): crc32(path) for path in _files(folder)})


def check_digest(path: Path) -> None:
    """Check a file against the digests of its folder, or of the folder above; without any there is nothing to check.

    Raises:
        UserError: the file is missing or has other content than when its folder was made.
    """
    for folder in path.parents[:2]:
        if not (folder / FILE).is_file():
            continue
        expected = _digests(folder / FILE, (folder / FILE).stat().st_mtime_ns).get(str(path.relative_to(folder)))
        if expected is None:
            return
        remedy = f"restore a copy, or delete {folder} and run the prepare stage again"
        if not path.is_file():
            raise UserError(f"{path}: missing; {remedy}")
        stat = path.stat()
        if _crc32(path, stat.st_size, stat.st_mtime_ns) != expected:
            raise UserError(f"{path}: damaged, its content has changed since it was prepared; {remedy}")
        return


def check_folder(folder: Path) -> None:
    """Check all files that the folder had when it was made."""
    if (folder / FILE).is_file():
        for name in _digests(folder / FILE, (folder / FILE).stat().st_mtime_ns):
            check_digest(folder / name)


def read_prepared(path: Path) -> list[str]:
    """Check a file of a prepared folder and return its lines."""
    check_digest(path)
    return read_lines(path)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != FILE)


@functools.lru_cache(maxsize=32)
def _digests(file: Path, mtime: int) -> dict[str, str]:
    return read_json(file)


@functools.cache
def _crc32(path: Path, size: int, mtime: int) -> str:
    """Return the digest of a file, computed once for each of its versions."""
    return crc32(path)
