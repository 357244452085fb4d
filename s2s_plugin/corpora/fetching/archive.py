"""Unpack Debian packages, zip files, wheels and tar archives that strangers may have made.

All members are checked before the first is written, by the rules below and not by those of tarfile, zipfile or
dpkg-deb, which have let files out. Only new files and folders for them are made, no links, devices or permissions.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from s2s_plugin.corpora.fetching.archive_formats import Member, Refused, members_of, read_to_end
from s2s_plugin.errors import UserError

MEMBERS = 200_000  # of an archive; AESLC has 18,306
GROWTH, ALWAYS = 30, 1 << 26  # unpacked bytes: at most GROWTH times the packed ones (CLDR's: 24 times), or ALWAYS
PATH, PART, DEPTH = 1000, 255, 40  # bytes of a path, of one of its parts, and number of parts
CONTROL = ("Cc", "Cs", "Zl", "Zp")  # Unicode categories: NUL, line breaks, escapes, bytes that are not UTF-8


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a .deb, .zip/.whl or tar archive into ``folder`` (by content, not by name).

    Raises:
        UserError: the archive is broken, of an unknown format, too large when unpacked, or has a member that is not a
            file or folder inside of ``folder``; the whole archive is refused then.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        top = folder.resolve()
        with members_of(archive, _limit(archive), folder) as (members, lenient):
            for path, member in _check(members, _limit(archive), lenient):
                _write(top, path, member)
    except Exception as error:  # hostile content makes the libraries raise anything, RecursionError and KeyError too
        reason = shown(error) or type(error).__name__
        raise UserError(f"cannot unpack {shown(archive)}: {reason}; delete it and run again") from error


def check_whole(path: Path) -> None:
    """Check that a compressed file or zip archive is whole; files of other formats pass.

    Raises:
        UserError: it is cut, broken or too large when unpacked.
    """
    try:
        read_to_end(path, _limit(path))
    except Exception as error:  # as above
        raise UserError(f"{shown(path.name)} is broken: {shown(error) or type(error).__name__}") from error


def shown(text: object) -> str:
    """Return text that strangers may have written in a form fit for a terminal: control characters are escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def _limit(archive: Path) -> int:
    return max(ALWAYS, GROWTH * archive.stat().st_size)


def _check(members: Iterable[Member], limit: int, lenient: bool) -> list[tuple[PurePosixPath, Member]]:
    """Return the files to write and their paths, if every member is permitted.

    Args:
        members: of the archive.
        limit: bytes that the files may have in total.
        lenient: leave out symbolic links to other members, which Debian packages may have, instead of refusing them.
    """
    files: list[tuple[PurePosixPath, Member]] = []
    kinds = {_key(PurePosixPath()): "folder"}  # of all paths so far
    total = 0
    for number, member in enumerate(members, start=1):
        name = _quoted(member.name)
        if number > MEMBERS:
            raise Refused(f"it must have at most {MEMBERS:,} members")
        path = _inner_path(member.name)
        if member.kind not in ("file", "folder") and not (lenient and _links_inside(path, member)):
            raise Refused(f"{name} is a {member.kind}; only files and folders are unpacked")
        for parent in path.parents:
            if kinds.setdefault(_key(parent), "folder") != "folder":
                raise Refused(f"{name} is below a member that is not a folder")
        if kinds.get(_key(path), "folder") != "folder" or (member.kind != "folder" and _key(path) in kinds):
            raise Refused(f"{name} is there twice")
        kinds[_key(path)] = member.kind
        if member.kind == "file":
            total += member.size
            files.append((path, member))
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


def _links_inside(path: PurePosixPath, member: Member) -> bool:
    """Return whether a member is a symbolic link that stays inside of the folder, taken by its text."""
    depth = len(path.parts) - 1
    for part in member.target.split("/"):
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        if depth < 0:
            return False
    return member.kind == "symbolic link" and not member.target.startswith("/")


def _key(path: PurePosixPath) -> str:
    """Return the same for paths that some file systems do not tell apart, by case or Unicode form."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def _quoted(name: str) -> str:
    return repr(name if len(name) <= 80 else f"{name[:77]}...")


def _write(top: Path, path: PurePosixPath, member: Member) -> None:
    parent = top / path.parent
    parent.mkdir(parents=True, exist_ok=True)
    if parent.resolve() != parent:  # of an earlier archive's link in the same folder
        raise Refused(f"{_quoted(member.name)} is below a link in {top}")
    with (top / path).open("xb") as file:  # never follows a link, never writes over a file
        written = sum(file.write(block) for block in member.blocks())
    if written != member.size:
        raise Refused(f"{_quoted(member.name)} must have {member.size:,} bytes, got {written:,}")
