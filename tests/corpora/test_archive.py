"""Unpacking real archives, with dpkg and without it."""

from __future__ import annotations

import io
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from s2s_plugin.corpora import archive
from s2s_plugin.errors import UserError


def tar_bytes(files: dict[str, str], mode: str, links: dict[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return buffer.getvalue()


def make_deb(path: Path, data: bytes, ending: str = "xz") -> Path:
    """A Debian package, written member by member."""
    control = "Package: toy\nVersion: 1.0\nArchitecture: all\nMaintainer: T <t@example.org>\nDescription: toy\n"
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": tar_bytes({"./control": control}, "w:gz"),
        f"data.tar.{ending}": data,
    }
    with path.open("wb") as file:
        file.write(b"!<arch>\n")
        for name, content in members.items():
            header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n"
            file.write(header.encode() + content + b"\n" * (len(content) % 2))
    return path


FILES = {"./usr/share/toy/a.txt": "eins\n", "./usr/share/toy/b.txt": "zwei\n"}


@pytest.mark.parametrize("with_dpkg", [False, True])
@pytest.mark.parametrize("ending", ["xz", "gz"])
def test_deb_is_unpacked_with_and_without_dpkg(tmp_path, monkeypatch, with_dpkg, ending):
    if with_dpkg and not shutil.which("dpkg-deb"):
        pytest.skip("no dpkg-deb on this machine")
    if not with_dpkg:
        monkeypatch.setattr(archive.shutil, "which", lambda name: None)
    deb = make_deb(tmp_path / "toy_1.0_all.deb", tar_bytes(FILES, f"w:{ending}"), ending)
    archive.unpack(deb, tmp_path / "out")
    found = {path.name: path.read_text() for path in (tmp_path / "out").rglob("*.txt")}
    assert found == {"a.txt": "eins\n", "b.txt": "zwei\n"}


def test_unpacking_never_leaves_the_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(archive.shutil, "which", lambda name: None)
    data = tar_bytes({**FILES, "../evil.txt": "x"}, "w:xz", links={"./abs": "/etc/passwd", "./up": "../../up"})
    archive.unpack(make_deb(tmp_path / "toy.deb", data), tmp_path / "sub" / "out")
    assert not list(tmp_path.rglob("evil.txt"))
    assert sorted(path.name for path in (tmp_path / "sub" / "out").iterdir()) == ["usr"]


@pytest.mark.parametrize("keep", [100, 400])
def test_broken_deb_is_a_user_error(tmp_path, monkeypatch, keep):
    monkeypatch.setattr(archive.shutil, "which", lambda name: None)
    deb = make_deb(tmp_path / "toy.deb", tar_bytes(FILES, "w:xz"))
    deb.write_bytes(deb.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"toy\.deb.*run again"):
        archive.unpack(deb, tmp_path / "out")


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="this Python reads zstd")
def test_zstd_without_dpkg_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(archive.shutil, "which", lambda name: None)
    with pytest.raises(UserError, match=r"zstd.*dpkg"):
        archive.unpack(make_deb(tmp_path / "toy.deb", b"(\xb5/\xfd", "zst"), tmp_path / "out")


def test_zip_and_tar(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as packed:
        packed.writestr("pkg/a.txt", "eins")
    (tmp_path / "b.tgz").write_bytes(tar_bytes({"package/b.txt": "zwei"}, "w:gz"))
    for name in ("a.whl", "b.tgz"):
        archive.unpack(tmp_path / name, tmp_path / "out")
    assert (tmp_path / "out/pkg/a.txt").read_text() + (tmp_path / "out/package/b.txt").read_text() == "einszwei"
    (tmp_path / "c.tar").write_text("no archive")
    with pytest.raises(UserError, match=r"cannot unpack .*c\.tar"):
        archive.unpack(tmp_path / "c.tar", tmp_path / "out")
