"""Unpack Debian packages, zip files, wheels and tar archives."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from s2s_plugin.errors import UserError

AR_MAGIC = b"!<arch>\n"


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a .deb, .zip/.whl or tar archive into ``folder`` (by content, not by name).

    Members that would land outside of ``folder`` are skipped.

    Raises:
        UserError: the archive is broken, or of an unknown format.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with archive.open("rb") as file:
            is_deb = file.read(len(AR_MAGIC)) == AR_MAGIC
        if is_deb:
            _unpack_deb(archive, folder)
        elif zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(folder)
        else:
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter=_inside)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise UserError(f"cannot unpack {archive}: {error}; delete it and run again") from error


def _unpack_deb(deb: Path, folder: Path) -> None:
    """Unpack the content of a Debian package with dpkg-deb, else with the standard library."""
    if shutil.which("dpkg-deb"):
        done = subprocess.run(["dpkg-deb", "-x", str(deb), str(folder)], stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise OSError(" ".join(done.stderr.split()))
        return
    name, content = next((member for member in _ar_members(deb) if member[0].startswith("data.tar")), ("", b""))
    if name.endswith(".zst") and sys.version_info < (3, 14):
        raise UserError(f"{deb}: zstd compression requires dpkg-deb or Python 3.14; install dpkg")
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        tar.extractall(folder, filter=_inside)


def _ar_members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each member of an ``ar`` archive, the outer shell of a .deb."""
    with path.open("rb") as file:
        file.seek(len(AR_MAGIC))
        while len(header := file.read(60)) == 60:  # name 16, times and owner 32, size 10, magic 2
            size = int(header[48:58])
            content = file.read(size + size % 2)[:size]  # members start at even offsets
            yield header[:16].decode("ascii", "replace").strip().rstrip("/"), content


def _inside(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
    """Skip members that point outside of ``folder`` (a .deb may hold links to absolute paths)."""
    try:
        return tarfile.data_filter(member, folder)
    except tarfile.FilterError:
        return None
