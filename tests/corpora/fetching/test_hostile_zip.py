"""Zip archives made to do harm: nothing outside of the folder, and one clear line."""

from __future__ import annotations

import shutil
import stat
import struct
import subprocess

import pytest
from archives import ZEROS, patched, refused, zip_bytes


def flagged(content: bytes, flags: int) -> bytes:
    """Flags of the first member, in both places."""

    def change(array: bytearray) -> None:
        struct.pack_into("<H", array, 6, flags)
        struct.pack_into("<H", array, array.index(b"PK\1\2") + 8, flags)

    return patched(content, change)


def with_method(content: bytes, method: int) -> bytes:
    def change(array: bytearray) -> None:
        struct.pack_into("<H", array, 8, method)
        struct.pack_into("<H", array, array.index(b"PK\1\2") + 10, method)

    return patched(content, change)


def with_size(content: bytes, size: int) -> bytes:
    """A directory that lies about how much the first member has unpacked."""
    return patched(content, lambda array: struct.pack_into("<I", array, array.index(b"PK\1\2") + 24, size))


ZIPS = {
    "absolute path": (zip_bytes({"/evil": b""}), "must be a relative path"),
    "parent": (zip_bytes({"../evil": b""}), "must be a relative path"),
    "parent behind folders": (zip_bytes({"a/b/../../../evil": b""}), "must be a relative path"),
    "backslashes": (zip_bytes({"..\\evil": b""}), "must be a relative path"),
    "drive": (zip_bytes({"C:\\evil": b""}), "must be a relative path"),
    "NUL in the name": (zip_bytes({"evil#.txt": b""}).replace(b"evil#", b"evil\0"), r"'evil\\x00\.txt' has control"),
    "escape in the name": (zip_bytes({"\x1b[2Jx": b""}), r"'\\x1b\[2Jx' has control"),
    "line break in the name": (zip_bytes({"a\r\nb": b""}), r"'a\\r\\nb' has control"),
    "link": (zip_bytes({"a": b"/etc/passwd"}, stat.S_IFLNK | 0o777), "'a' is a symbolic link"),
    "device": (zip_bytes({"a": b""}, stat.S_IFCHR | 0o777), "special file"),
    "FIFO": (zip_bytes({"a": b""}, stat.S_IFIFO | 0o777), "special file"),
    "socket": (zip_bytes({"a": b""}, stat.S_IFSOCK | 0o777), "special file"),
    "twice": (zip_bytes([("a", b"1"), ("a", b"2")]), "File exists"),
    "below a file": (zip_bytes({"a": b"1", "a/b": b"2"}), "File exists|Not a directory"),
    "encrypted": (flagged(zip_bytes({"a": b"1"}), 0x1), "'a' is encrypted"),
    "strongly encrypted": (flagged(zip_bytes({"a": b"1"}), 0x41), "'a' is encrypted"),
    "encrypted directory": (flagged(zip_bytes({"a": b"1"}), 0x2000), "'a' is encrypted"),
    "AES": (with_method(zip_bytes({"a": b"1"}), 99), "compression method is not supported"),
    "Deflate64": (with_method(zip_bytes({"a": b"1"}), 9), "compression method is not supported"),
    "size beyond the end": (with_size(zip_bytes({"a": b"1"}), 1000), "must have 1,000 bytes|CRC-32|end"),
    "names differ": (zip_bytes({"good": b"1"}).replace(b"good", b"../e", 1), "differ"),
    "wrong content": (zip_bytes({"a": b"right"}).replace(b"right", b"wrong"), "CRC-32"),
    "cut": (zip_bytes({"a": b"1" * 1000})[:500], "not a zip file"),
    "cut directory": (zip_bytes({"a": b"1" * 1000})[:-30], "not a zip file"),
    "deep": (zip_bytes({"a/" * 45 + "b": b""}), "40 parts"),
    "long": (zip_bytes({"a" * 256: b""}), "at most 255 bytes"),
    "empty": (zip_bytes({}), "it has no files"),
    "only folders": (zip_bytes({"a/": b""}), "it has no files"),
}


@pytest.mark.parametrize("attack", ZIPS)
def test_hostile_zip(box, attack):
    refused(box, *ZIPS[attack])


def test_bombs(box):
    bomb = zip_bytes({"zeros": ZEROS}, deflate=True)
    refused(box, bomb, "at most 67 MB")
    refused(box, with_size(bomb, 10), "CRC-32")


@pytest.mark.skipif(shutil.which("zip") is None, reason="no zip")
def test_zip_with_a_real_password(box):
    subprocess.run(["zip", "-qP", "secret", "locked.zip", "secret.txt"], cwd=box, check=True)
    refused(box, (box / "locked.zip").read_bytes(), r"'secret\.txt' is encrypted")
