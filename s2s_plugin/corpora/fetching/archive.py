"""Unpack zip files, wheels, tar archives and Debian packages that strangers may have made.

All members are checked before the first is written, by the rules below and not by those of tarfile and zipfile, which
have let files out. Only new files and folders for them are made, no links, devices or permissions.
"""

from __future__ import annotations

import resource
import shutil
import stat
import subprocess
import tarfile
import tempfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from s2s_plugin.errors import UserError
from s2s_plugin.utils.compression import open_binary

FORMATS = "zip, .deb, and tar, plain or compressed with gzip, bzip2 or xz"
DEB, ZIP = b"!<arch>\n", (b"PK\x03\x04", b"PK\x05\x06")
ENCRYPTED = 0x1 | 0x40 | 0x2000  # flags of a zip member
BLOCK = 1 << 14  # bytes read at once; a longer header of a tar member is refused
MEMBERS = 200_000  # of an archive; AESLC has 18,306
GROWTH, ALWAYS = 30, 1 << 26  # unpacked bytes: at most GROWTH times the packed ones (CLDR's: 24 times), or ALWAYS
PATH, PART, DEPTH = 1000, 255, 40  # bytes of a path, of one of its parts, and number of parts
CONTROL = ("Cc", "Cs", "Zl", "Zp")  # Unicode categories: NUL, line breaks, escapes, bytes that are not UTF-8
TYPES = {0: "file", stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "symbolic link"}  # of a zip member
TAR_TYPES = {tarfile.DIRTYPE: "folder", tarfile.SYMTYPE: "symbolic link", tarfile.LNKTYPE: "hard link"}


class Refused(Exception):
    """What is wrong with an archive."""


class Member(NamedTuple):
    """One entry of an archive; ``kind`` is file, folder, or what else it is."""

    name: str
    kind: str
    size: int
    open: Callable[[], Any]  # its content
    target: str = ""  # of a symbolic link in a Debian package, which may have some


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive, known by its content, into ``folder``.

    Raises:
        UserError: the archive is broken, of an unknown format, too large when unpacked, or has a member that is not a
            file or folder inside of ``folder``; the whole archive is refused then.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _members(archive) as members:
            for path, member in _check(members, size_limit(archive)):
                _write(folder / path, member)
    except Exception as error:  # hostile content makes the libraries raise anything, RecursionError and KeyError too
        raise UserError(
            f"cannot unpack {archive}: {str(error) or type(error).__name__}; delete it and run again"
        ) from error


def size_limit(packed: Path) -> int:
    """Return how many bytes a file may have when it is unpacked."""
    return max(ALWAYS, GROWTH * packed.stat().st_size)


@contextmanager
def _members(archive: Path) -> Iterator[Iterable[Member]]:
    with archive.open("rb") as file:
        magic = file.read(8)
        if magic.startswith(ZIP):
            with zipfile.ZipFile(file) as packed:
                yield map(partial(_zip_member, packed), packed.infolist())
        elif magic == DEB:
            with tempfile.TemporaryFile() as plain:
                _read_deb(archive, plain)
                yield _tar_members(plain, is_deb=True)
        else:
            with open_binary(archive) as plain:
                yield _tar_members(plain)


def _zip_member(packed: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    if info.flag_bits & ENCRYPTED:
        raise Refused(f"{info.filename!r} is encrypted")
    kind = TYPES.get(stat.S_IFMT(info.external_attr >> 16), "special file")
    kind = "folder" if info.is_dir() and kind == "file" else kind
    # filename ends at the first NUL
    return Member(info.orig_filename, kind, info.file_size, partial(packed.open, info))


class _Headers:
    """A tar file for tarfile, which reads a header as long as the archive says it is, even of a negative length."""

    def __init__(self, file: IO[bytes]):
        self.file, self.seek, self.tell = file, file.seek, file.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= BLOCK:
            raise Refused(f"a header must have at most {BLOCK:,} bytes, got {size:,}")
        return self.file.read(size)


def _tar_members(file: IO[bytes], is_deb: bool = False) -> Iterator[Member]:
    file.seek(0)
    try:
        tar = tarfile.TarFile(fileobj=_Headers(file))  # type: ignore[arg-type]
    except tarfile.ReadError as error:
        raise Refused(f"it is no archive, or broken ({error}); known are {FORMATS}") from None
    while (member := tar.next()) is not None:
        if member.size < 0:
            raise Refused(f"{member.name!r} has a negative size")
        is_file = member.isreg() and not member.issparse()
        kind = "file" if is_file else TAR_TYPES.get(member.type, "special file")
        target = member.linkname if is_deb and member.issym() else ""
        yield Member(member.name, kind, member.size, partial(tar.extractfile, member), target)
    file.seek(tar.offset)  # tarfile takes a broken header for the end, and a missing end for the end
    if file.read(BLOCK)[: tarfile.BLOCKSIZE] != bytes(tarfile.BLOCKSIZE):
        raise Refused("it is cut or broken")


def _read_deb(deb: Path, plain: IO[bytes]) -> None:
    """Write the tar archive in a Debian package to ``plain``."""
    if shutil.which("dpkg-deb") is None:
        raise Refused("Debian packages require dpkg-deb; install dpkg")
    max_bytes = size_limit(deb) * 5 // 4  # headers and padding come on top of the files
    command = ["dpkg-deb", "--fsys-tarfile", str(deb.absolute())]
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (max_bytes, max_bytes))
    if subprocess.run(command, stdout=plain, stderr=subprocess.DEVNULL, preexec_fn=limit).returncode:
        raise Refused(f"dpkg-deb cannot read it, or it has more than {max_bytes / 1e6:,.0f} MB unpacked")


def _check(members: Iterable[Member], limit: int) -> list[tuple[PurePosixPath, Member]]:
    """Return the files to write and their paths, if every member is permitted; they have at most ``limit`` bytes."""
    files: list[tuple[PurePosixPath, Member]] = []
    total = 0
    for number, member in enumerate(members, start=1):
        if number > MEMBERS:
            raise Refused(f"it must have at most {MEMBERS:,} members")
        path = _inner_path(member.name)
        if member.kind == "file":
            total += member.size
            files.append((path, member))
        elif member.kind != "folder" and not (member.target and _stays_inside(path, member.target)):
            raise Refused(f"{_quoted(member.name)} is a {member.kind}; only files and folders are unpacked")
        if total > limit:
            raise Refused(f"its files must have at most {limit / 1e6:,.0f} MB, {GROWTH} times what they have packed")
    if not files:
        raise Refused("it has no files")
    return files


def _inner_path(name: str) -> PurePosixPath:
    """Return the path of a member below the folder, if it cannot be anywhere else."""
    quoted = _quoted(name)
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if any(unicodedata.category(character) in CONTROL for character in name):
        raise Refused(f"{quoted} has control characters, or is not UTF-8")
    if name.startswith("/") or ".." in parts or "\\" in name:
        raise Refused(f"{quoted} must be a relative path with / between folders and without ..")
    sizes = [len(part.encode()) for part in parts]
    if len(parts) > DEPTH or len(name.encode()) > PATH or max(sizes, default=0) > PART:
        raise Refused(f"{quoted} must have at most {PATH} bytes and {DEPTH} parts of at most {PART} bytes")
    return PurePosixPath(*parts)


def _stays_inside(path: PurePosixPath, target: str) -> bool:
    """Return whether a symbolic link, which is left out, stays inside of the folder."""
    depth = len(path.parts) - 1
    for part in target.split("/"):
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        if depth < 0:
            return False
    return not target.startswith("/")


def _quoted(name: str) -> str:
    return repr(name if len(name) <= 80 else f"{name[:77]}...")


def _write(path: Path, member: Member) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with member.open() as content, path.open("xb") as file:  # x: never follows a link, never writes over a file
        shutil.copyfileobj(content, file, BLOCK)
        if file.tell() != member.size:
            raise Refused(f"{_quoted(member.name)} must have {member.size:,} bytes, got {file.tell():,}")
