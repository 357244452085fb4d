"""The members of zip, tar and Debian archives, as they are; :mod:`s2s_plugin.corpora.fetching.archive` judges them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import stat
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

AR, ZIP = b"!<arch>\n", (b"PK\x03\x04", b"PK\x05\x06")
STREAMS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
ZSTD = b"\x28\xb5\x2f\xfd"
OTHERS = {b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!": "rar", ZSTD: "zstd", b"\x04\x22\x4d\x18": "lz4", b"<": "a web page"}
KNOWN = "zip, .deb, and tar, plain or compressed with gzip, bzip2 or xz"
BLOCK = 1 << 14  # bytes read at once; a longer header of a tar member is refused
ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
ENCRYPTED = 0x1 | 0x40 | 0x2000  # flags of a zip member


class Refused(Exception):
    """What is wrong with an archive."""


class Member(NamedTuple):
    """One entry of an archive; ``kind`` is file, folder, or what else it is."""

    name: str
    kind: str
    size: int
    blocks: Callable[[], Iterable[bytes]]  # its content
    target: str = ""  # of a symbolic link


@contextmanager
def members_of(archive: Path, limit: int, folder: Path) -> Iterator[tuple[Iterable[Member], bool]]:
    """Yield the members of an archive, and whether it is a Debian package.

    Args:
        archive: its format is known by its content.
        limit: bytes that it may have without compression.
        folder: for temporary files, which have no name.
    """
    with ExitStack() as stack:
        file: IO[bytes] = stack.enter_context(archive.open("rb"))
        magic = file.read(8)
        file.seek(0)
        if magic.startswith(ZIP):
            yield _zip_members(stack.enter_context(zipfile.ZipFile(file))), False
            return
        is_deb = magic == AR
        if is_deb:
            file = _deb_data(file, stack.enter_context(_temporary(folder)))
            if _magic(file, len(ZSTD)) == ZSTD:
                file = stack.enter_context(_temporary(folder))
                _dpkg_tar(archive, file, limit)
        if opener := _opener(file):
            plain = stack.enter_context(_temporary(folder))
            with opener(file) as stream:
                _copy(stream, plain, limit + limit // 4)  # headers and padding come on top of the files
            file = plain
            if _opener(file):
                raise Refused("it is compressed more than once")
        yield _tar_members(file), is_deb


def read_to_end(path: Path, limit: int) -> None:
    """Read a compressed file to its end, or the directory of a zip file; it may have ``limit`` bytes unpacked."""
    with path.open("rb") as file:
        if file.read(8).startswith(ZIP):
            zipfile.ZipFile(file).close()
        elif opener := _opener(file):
            with opener(file) as stream:
                _copy(stream, None, limit)


def _zip_members(packed: zipfile.ZipFile) -> Iterator[Member]:
    for info in packed.infolist():
        if info.flag_bits & ENCRYPTED:
            raise Refused(f"{info.filename!r} is encrypted")
        if info.compress_type not in ZIP_METHODS:
            raise Refused(f"{info.filename!r} is compressed with the unknown method {info.compress_type}")
        kind = _kind(info.external_attr >> 16)
        if info.is_dir() and kind == "file":
            kind = "folder"
        # filename ends at the first NUL
        yield Member(info.orig_filename, kind, info.file_size, partial(_zip_blocks, packed, info))


def _zip_blocks(packed: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    with packed.open(info) as file:
        while block := file.read(BLOCK):
            yield block


def _kind(mode: int) -> str:
    """Name the type in a file's mode."""
    types = {stat.S_IFDIR: "folder", stat.S_IFLNK: "symbolic link", stat.S_IFIFO: "FIFO", stat.S_IFSOCK: "socket"}
    return types.get(stat.S_IFMT(mode), "file" if stat.S_IFMT(mode) in (0, stat.S_IFREG) else "device")


class _Headers:
    """A tar file for tarfile, which reads a header as long as the archive says it is, even of a negative length."""

    def __init__(self, file: IO[bytes]):
        self.file, self.seek, self.tell = file, file.seek, file.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= BLOCK:
            raise Refused(f"a header must have at most {BLOCK:,} bytes, got {size:,}")
        return self.file.read(size)


def _tar_members(file: IO[bytes]) -> Iterator[Member]:
    file.seek(0)
    start = file.read(262)
    other = next((name for magic, name in OTHERS.items() if start.startswith(magic)), None)
    if other and not start.endswith(b"ustar"):
        raise Refused(f"it is {other}; known are {KNOWN}")
    file.seek(0)
    try:
        tar = tarfile.TarFile(fileobj=_Headers(file))  # type: ignore[arg-type]
    except tarfile.ReadError as error:
        raise Refused(f"it is no archive, or broken ({error}); known are {KNOWN}") from None
    types = {tarfile.DIRTYPE: "folder", tarfile.SYMTYPE: "symbolic link", tarfile.LNKTYPE: "hard link"}
    types |= {tarfile.FIFOTYPE: "FIFO", tarfile.CHRTYPE: "device", tarfile.BLKTYPE: "device"}
    while (member := tar.next()) is not None:
        if member.size < 0:
            raise Refused(f"{member.name!r} has a negative size")
        kind = "file" if member.isreg() and not member.issparse() else types.get(member.type, "member of unknown type")
        blocks = partial(_blocks, file, member.offset_data, member.size)
        yield Member(member.name, kind, member.size, blocks, member.linkname)
    file.seek(tar.offset)  # tarfile takes a broken header for the end, and a missing end for the end
    if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise Refused("it is cut or broken")


def _blocks(file: IO[bytes], start: int, size: int) -> Iterator[bytes]:
    file.seek(start)
    while size > 0 and (block := file.read(min(BLOCK, size))):
        size -= len(block)
        yield block


def _deb_data(file: IO[bytes], data: IO[bytes]) -> IO[bytes]:
    """Copy the content of a Debian package to ``data``: the member ``data.tar.*`` of its outer shell, ``ar``."""
    found = 0
    file.seek(len(AR))
    while header := file.read(60):  # name 16, times and owner 32, size 10, magic 2
        size = header[48:58].decode("ascii", "replace").strip()
        if len(header) != 60 or header[58:] != b"`\n" or not (size.isascii() and size.isdigit()):
            raise Refused("it is cut or broken")
        content = _blocks(file, file.tell(), int(size))
        if header.startswith(b"data.tar"):
            found += 1
            content = (block for block in content if data.write(block))
        if sum(map(len, content)) != int(size):
            raise Refused("it is cut or broken")
        file.seek(int(size) % 2, 1)  # members start at even offsets
    if found != 1:
        raise Refused(f"a Debian package must have one data.tar, got {found}")
    return data


def _dpkg_tar(deb: Path, plain: IO[bytes], limit: int) -> None:
    """Write the tar archive in a Debian package, which this Python cannot decompress, to ``plain``."""
    if shutil.which("dpkg-deb") is None:
        raise Refused("zstd compression requires dpkg-deb; install dpkg")
    command = ["dpkg-deb", "--fsys-tarfile", str(deb)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            _copy(process.stdout, plain, limit + limit // 4)
        except Refused:
            process.kill()
            raise
    if process.returncode:
        raise Refused("dpkg-deb cannot read it")


def _temporary(folder: Path) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=folder)


def _magic(file: IO[bytes], length: int) -> bytes:
    file.seek(0)
    magic = file.read(length)
    file.seek(0)
    return magic


def _opener(file: IO[bytes]) -> Callable[..., Any] | None:
    """Return what opens a compressed file, by its content; None for other files."""
    magic = _magic(file, 6)
    return next((opener for start, opener in STREAMS.items() if magic.startswith(start)), None)


def _copy(stream: IO[bytes], plain: IO[bytes] | None, limit: int) -> None:
    """Copy a stream, or only read it."""
    total = 0
    while block := stream.read(BLOCK):
        total += len(block)
        if total > limit:
            raise Refused(f"unpacked it must have at most {limit / 1e6:,.0f} MB")
        if plain:
            plain.write(block)
