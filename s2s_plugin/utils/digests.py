"""Checksums of a folder's files, written once by the stage that makes it and checked by whoever opens a file.

CRC-32 notices flipped bits, zeros and cuts at several GB/s, faster than the file is read; it is no protection against
a forger.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterable
from pathlib import Path

from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import read_json, read_lines, write_json

DIGESTS = "digests.json"  # in the folder
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


def record_digests(folder: Path, paths: Iterable[Path] | None = None) -> None:
    """Write the digests of these files, by default of all in the folder and below."""
    if paths is None:
        paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != DIGESTS)
    write_json(folder / DIGESTS, {path.relative_to(folder).as_posix(): crc32(path) for path in paths})


def check_digest(path: Path, remedy: str = "") -> None:
    """Check a file against the digests of its folder, or of the folder above; without any there is nothing to check.

    Raises:
        UserError: the file is missing or has other content than when its folder was made; ``remedy``: what to do.
    """
    folder = next((folder for folder in path.parents[:2] if (folder / DIGESTS).is_file()), path.parent)
    expected = _read_digests(folder).get(path.relative_to(folder).as_posix())
    remedy = remedy or f"restore a copy, or delete {folder} and run the prepare stage again"
    if expected is not None and not path.is_file():
        raise UserError(f"{path}: missing; {remedy}")
    if expected is not None and _crc32(path, path.stat().st_mtime_ns) != expected:
        raise UserError(f"{path}: damaged, its content has changed since it was written; {remedy}")


def check_folder(folder: Path, remedy: str = "") -> None:
    """Check all files whose digests the folder has."""
    for name in _read_digests(folder):
        check_digest(folder / name, remedy)


def read_prepared(path: Path) -> list[str]:
    """Check a file of a prepared folder and return its lines."""
    check_digest(path)
    return read_lines(path)


def _read_digests(folder: Path) -> dict[str, str]:
    return read_json(folder / DIGESTS, {str: str}) or {}


@functools.cache
def _crc32(path: Path, mtime: int) -> str:
    """Return the digest of a file, computed once for each of its versions."""
    return crc32(path)
