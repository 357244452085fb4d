"""Files and folders that appear whole or not at all, their fingerprints, and locks between processes."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from omegaconf import DictConfig, OmegaConf

from s2s_plugin.errors import UserError
from s2s_plugin.utils.console import say

CHECKSUM = "crc32"  # key of a JSON file
NUMBER = (int, float)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a neighbor of ``path`` to write to, which becomes ``path`` if the block ends without an error.

    Raises:
        UserError: the file cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None
    finally:
        with suppress(OSError):  # replaced already, or below a file that is no folder
            partial.unlink()


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with atomic_path(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a UTF-8 file of lines, each ended by a line feed, whole or not at all."""
    write_text(path, "".join(f"{line}\n" for line in lines))


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON file whole or not at all; its last key is the CRC-32 of the rest, for :func:`read_json`."""
    write_text(path, _json_text({**value, CHECKSUM: _checksum(_json_text(value))}) + "\n")


def read_lines(path: Path) -> list[str]:
    """Read the lines of a file that this project wrote: a line feed ends each, and no other character does."""
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def read_json(
    path: Path, shape: Any = dict, remedy: str = "restore a copy, or delete it and run the stage that writes it again"
) -> Any:
    """Read a JSON file; return None if it is missing.

    Raises:
        UserError: the file is damaged: not JSON, not what :func:`write_json` wrote, or of another ``shape``.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: damaged ({error}); {remedy}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    checksum = value.pop(CHECKSUM, None) if isinstance(value, dict) else None
    if checksum not in (None, _checksum(_json_text(value))):
        raise UserError(f"{path}: damaged, or edited without deleting its line {CHECKSUM}; {remedy}")
    try:
        check_shape(value, shape)
    except ValueError as error:
        raise UserError(f"{path}: {error}; {remedy}") from None
    return value


def check_shape(value: Any, shape: Any, place: str = "content") -> None:
    """Raise ValueError unless plain data has this shape.

    A shape is a type, or a tuple of types; a list of the shape of the elements; or a dictionary of shapes by key, where
    ``str`` is any other key, and a key that ends with ``?`` may be missing.
    """
    kinds = type(shape) if isinstance(shape, (list, dict)) else shape
    too_large = isinstance(value, int) and abs(value) >= 2**63
    if type(value) not in (kinds if isinstance(kinds, tuple) else (kinds,)) or too_large:
        raise ValueError(f"{place} must not be {'so large' if too_large else f'a {type(value).__name__}'}")
    if isinstance(shape, list):
        for element in value:
            check_shape(element, shape[0], f"each of {place}")
    elif isinstance(shape, dict):
        rules = {key.removesuffix("?"): rule for key, rule in shape.items() if key is not str}
        if missing := [key for key in shape if key is not str and not key.endswith("?") and key not in value]:
            raise ValueError(f"{missing[0]} is missing")
        for key in value:
            if key in rules or str in shape:
                check_shape(value[key], rules.get(key, shape.get(str)), key if key in rules else f"each of {place}")


def _json_text(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode('utf-8', 'surrogatepass')):08x}"


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Give a new neighbor of ``folder`` to fill, which replaces ``folder`` if the block ends without an error."""
    partial, old = folder.with_name(folder.name + ".partial"), folder.with_name(folder.name + ".old")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def build_folder(folder: Path, build: Callable[[Path], None]) -> Path:
    """Make ``folder`` by ``build(partial)`` unless it exists; it appears whole or not at all.

    Two processes that want the same folder wait for each other.
    """
    with locked(folder.with_name(f".{folder.name}.lock")):
        if not folder.exists():
            with atomic_folder(folder) as partial:
                build(partial)
    return folder


@contextmanager
def locked(lock: Path, wait: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on the file ``lock``, which forked processes do not inherit.

    If another process holds it, say for what this one waits: for the file or folder after which the lock is named.

    Raises:
        UserError: another process holds it, and ``wait`` is off.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with lock.open("a+", encoding="utf-8") as file:
            _acquire(file, lock, wait)
            if not _is_open(file, lock):  # its last holder has deleted it since
                continue
            file.truncate(0)
            file.write(f"process {os.getpid()} since {datetime.now():%Y-%m-%d %H:%M:%S}")
            file.flush()
            yield
            return


def _acquire(file: TextIO, lock: Path, wait: bool) -> None:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read(100) or "another process"
        if not wait:
            rule = f"{lock.parent} is being worked on by {holder}"
            raise UserError(f"{rule}: wait for it, or take another name=...") from None
        made = lock.with_name(lock.name.removeprefix(".").removesuffix(".lock"))
        say(f"      waits for {made}, which is being worked on by {holder}")
        fcntl.lockf(file, fcntl.LOCK_EX)


def _is_open(file: TextIO, path: Path) -> bool:
    """Return whether an open file is the one at this path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def reserved(folder: Path) -> Iterator[None]:
    """Hold a lock on an existing folder while this process works on it.

    Raises:
        UserError: another process holds it.
    """
    with locked(folder / ".lock", wait=False):
        try:
            yield
        finally:
            (folder / ".lock").unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(*parts: object) -> str:
    """Return a short fingerprint, 16 hex digits, of plain values, configs and files (by content)."""
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, DictConfig):
            part = OmegaConf.to_container(part, resolve=True, enum_to_str=True)
        sha.update(part.read_bytes() if isinstance(part, Path) else json.dumps(part, sort_keys=True).encode())
    return sha.hexdigest()[:16]


def hash_fraction(name: str) -> float:
    """Map a name to a number in [0, 1), the same on every machine."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:6], "big") / 2**48
