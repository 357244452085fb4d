"""Archives for tests, whole and hostile ones, made in memory."""

from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s2s_plugin.corpora.fetching.archive import unpack
from s2s_plugin.errors import UserError

Entry = dict[str, Any]

ZEROS = bytes(70_000_000)  # more than a small archive may hold


def tar_bytes(entries: list[Entry], mode: str = "w") -> bytes:
    """A tar archive of entries: attributes of ``tarfile.TarInfo``, and ``content``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=tarfile.PAX_FORMAT, errors="surrogateescape") as tar:
        for entry in entries:
            content = entry.get("content", b"")
            info = tarfile.TarInfo()
            info.size = len(content)
            for key, value in entry.items():
                if key != "content":
                    setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def file(name: str, content: bytes = b"x", **more: Any) -> Entry:
    return {"name": name, "content": content, **more}


def link(name: str, target: str, hard: bool = False) -> Entry:
    return {"name": name, "linkname": target, "type": tarfile.LNKTYPE if hard else tarfile.SYMTYPE}


def deb_bytes(data: bytes, ending: str = "xz", **more: bytes) -> bytes:
    """A Debian package, member by member."""
    control = b"Package: toy\nVersion: 1.0\nArchitecture: all\nMaintainer: T <t@example.org>\nDescription: toy\n"
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": tar_bytes([file("./control", control)], "w:gz"),
        f"data.tar.{ending}": data,
        **more,
    }
    return b"!<arch>\n" + b"".join(ar_member(name, content) for name, content in members.items())


def ar_member(name: str, content: bytes, size: str | None = None) -> bytes:
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content) if size is None else size:<10}`\n"
    return header.encode() + content + b"\n" * (len(content) % 2)


def zip_bytes(entries: dict[str, bytes] | list[tuple[str, bytes]], mode: int = 0, deflate: bool = False) -> bytes:
    """A zip archive of names and contents; ``mode`` is a type and permissions of Unix for all."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED) as packed:
        for name, content in entries.items() if isinstance(entries, dict) else entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = packed.compression
            packed.writestr(info, content)
    return buffer.getvalue()


def patched(content: bytes, change: Callable[[bytearray], object]) -> bytes:
    """Bytes after ``change`` to them."""
    array = bytearray(content)
    change(array)
    return bytes(array)


def with_header(position: int, value: bytes) -> bytes:
    """A tar archive of one file, with ``value`` at ``position`` of its header and the checksum corrected."""

    def change(array: bytearray) -> None:
        array[position : position + len(value)] = value
        array[148:156] = b" " * 8
        array[148:156] = b"%06o\0 " % sum(array[:512])

    return patched(tar_bytes([file("a.txt")]), change)


def long_path_attack(outside: Path) -> list[Entry]:
    """CVE-2025-4517: a path through links too long for realpath, behind which tarfile.data_filter sees no link.

    Unpacked three folders below the parent of ``outside``, it writes there with Python 3.11.7.
    """
    folder, steps, path = "d" * 247, "abcdefghijklmnop", ""
    entries: list[Entry] = []
    for step in steps:
        entries.append({"name": os.path.join(path, folder), "type": tarfile.DIRTYPE})  # noqa: PTH118
        entries.append(link(os.path.join(path, step), folder))  # noqa: PTH118
        path = os.path.join(path, folder)  # noqa: PTH118
    long = f"{'/'.join(steps)}/{'l' * 254}"
    entries += [link(long, "../" * len(steps)), link("escape", f"{long}/../../../{outside.name}")]
    return [*entries, file("escape/evil.txt", b"owned")]


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Mode and content (or target) of all that is below a folder, without following links."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = bytes(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[path.relative_to(folder).as_posix()] = (status.st_mode, content)
    return found


def refused(box: Path, content: bytes, message: str) -> None:
    """Unpack: an error of one line, no harm, and nothing but plain files in the folder."""
    path, out = box / "hostile", box / "in" / "out"
    path.write_bytes(content)
    shutil.rmtree(out, ignore_errors=True)
    before = tree(box.parent)
    with pytest.raises(UserError, match=message) as caught:
        unpack(path, out)
    text = str(caught.value)
    assert text.isprintable() and len(text) < 700 and "delete it and run again" in text
    after = tree(box.parent)
    made = {name: mode for name, (mode, _) in after.items() if name.startswith("box/in/out")}
    assert {name: entry for name, entry in after.items() if name not in made} == before
    assert all(stat.S_ISREG(mode) or stat.S_ISDIR(mode) for mode in made.values())
    assert not any(stat.S_ISREG(mode) and mode & 0o7111 for mode in made.values())
