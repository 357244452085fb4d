"""Unpacking real archives, and what is none, broken or too large."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import stat
import subprocess
import tarfile
import zlib

import pytest
from archives import ZEROS, ar_member, deb_bytes, file, link, refused, tar_bytes, tree, zip_bytes

from s2s_plugin.corpora.fetching import archive
from s2s_plugin.corpora.fetching.archive import unpack
from s2s_plugin.corpora.fetching.download import _broken
from s2s_plugin.errors import UserError

FILES = [file("./usr/share/toy/a.txt", b"eins\n"), file("./usr/share/toy/b.txt", b"zwei\n")]


@pytest.mark.parametrize("ending", ["xz", "gz", "bz2"])
def test_deb_is_unpacked(tmp_path, ending):
    (tmp_path / "toy.deb").write_bytes(deb_bytes(tar_bytes(FILES, f"w:{ending}"), ending))
    unpack(tmp_path / "toy.deb", tmp_path / "out")
    assert {path.name: path.read_text() for path in (tmp_path / "out").rglob("*.txt")} == {
        "a.txt": "eins\n",
        "b.txt": "zwei\n",
    }


@pytest.mark.skipif(not (shutil.which("dpkg-deb") and shutil.which("zstd")), reason="no dpkg-deb or zstd")
def test_deb_with_zstd_is_read_by_dpkg_and_checked_here(box):
    def packed(entries: list) -> bytes:
        data = subprocess.run(["zstd", "-qc"], input=tar_bytes(entries), stdout=subprocess.PIPE, check=True).stdout
        return deb_bytes(data, "zst")

    (box / "toy.deb").write_bytes(packed(FILES))
    unpack(box / "toy.deb", box / "good")
    assert (box / "good/usr/share/toy/a.txt").read_text() == "eins\n"
    refused(box, packed([link("a", "/etc"), file("a/x")]), "'a' is a symbolic link")
    refused(box, packed([file("zeros", ZEROS)]), "at most 67 MB")


def test_a_package_without_dpkg_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(archive.shutil, "which", lambda name: None)
    (tmp_path / "toy.deb").write_bytes(deb_bytes(b""))
    with pytest.raises(UserError, match=r"require dpkg-deb; install dpkg"):
        unpack(tmp_path / "toy.deb", tmp_path / "out")


def test_zip_and_tar(tmp_path):
    (tmp_path / "a.whl").write_bytes(zip_bytes({"pkg/": b"", "pkg/a.txt": b"eins"}, deflate=True))
    (tmp_path / "b.tgz").write_bytes(tar_bytes([file("package/b.txt", b"zwei")], "w:gz"))
    for name in ("a.whl", "b.tgz"):
        unpack(tmp_path / name, tmp_path / "out")
    assert (tmp_path / "out/pkg/a.txt").read_text() + (tmp_path / "out/package/b.txt").read_text() == "einszwei"
    (tmp_path / "c.tar").write_text("no archive")
    with pytest.raises(UserError, match=r"cannot unpack .*c\.tar"):
        unpack(tmp_path / "c.tar", tmp_path / "out")


def test_permissions_and_owners_stay_behind(tmp_path):
    odd = [file("tool", mode=0o6777, uid=0), {"name": "d", "type": tarfile.DIRTYPE, "mode": 0o7777}, file("d/a")]
    for number, content in enumerate((tar_bytes(odd), deb_bytes(tar_bytes(odd, "w:xz")))):
        (tmp_path / "a").write_bytes(content)
        unpack(tmp_path / "a", tmp_path / f"out{number}")
        modes = [path.stat().st_mode for path in (tmp_path / f"out{number}").rglob("*")]
        assert len(modes) == 3
        assert not any(mode & 0o7000 or (stat.S_ISREG(mode) and mode & 0o111) for mode in modes)


def test_links_between_members_of_a_debian_package_are_left_out(tmp_path):
    entries = [*FILES, link("./usr/share/doc/toy", "../toy"), link("./usr/share/toy/c.txt", "a.txt")]
    (tmp_path / "toy.deb").write_bytes(deb_bytes(tar_bytes(entries, "w:xz")))
    unpack(tmp_path / "toy.deb", tmp_path / "out")
    assert sorted(tree(tmp_path / "out")) == [
        "usr",
        "usr/share",
        "usr/share/toy",
        "usr/share/toy/a.txt",
        "usr/share/toy/b.txt",
    ]


GOOD_TAR = tar_bytes([file("a", os.urandom(5000))])
SHELLS = {
    "gzip in gzip": (gzip.compress(gzip.compress(GOOD_TAR)), "it is no archive, or broken"),
    "xz in bzip2 in gzip": (gzip.compress(bz2.compress(lzma.compress(GOOD_TAR))), "it is no archive, or broken"),
    "gzip of a text": (gzip.compress(b"some text" * 100), "it is no archive, or broken"),
    "gzip of a zip": (gzip.compress(zip_bytes({"a": b""})), "it is no archive, or broken"),
    "cut gzip": (gzip.compress(GOOD_TAR)[:3000], "cut short or damaged"),
    "cut xz": (lzma.compress(GOOD_TAR)[:3000], "cut short or damaged"),
    "cut bzip2": (bz2.compress(GOOD_TAR)[:3000], "cut short or damaged"),
    "wrong checksum": (gzip.compress(GOOD_TAR)[:-8] + bytes(8), "cut short or damaged"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(600), "it is no archive, or broken"),
    "rar": (b"Rar!\x1a\x07\x01\x00" + bytes(600), "it is no archive, or broken"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(600), "cut short or damaged"),
    "web page": (b"<!DOCTYPE html><html>Log in</html>", "it is no archive, or broken"),
    "nothing": (b"", "it is no archive, or broken"),
    "noise": (b"\x93" * 2000, "it is no archive, or broken"),
    "package without content": (b"!<arch>\n" + ar_member("debian-binary", b"2.0\n"), "dpkg-deb cannot read"),
    "negative size in a package": (b"!<arch>\n" + ar_member("data.tar", b"x" * 99, "-99"), "dpkg-deb cannot read"),
    "odd size in a package": (b"!<arch>\n" + ar_member("data.tar", b"x" * 99, "9_9"), "dpkg-deb cannot read"),
    "size beyond the end of a package": (
        b"!<arch>\n" + ar_member("data.tar", b"x", "999999999"),
        "dpkg-deb cannot read",
    ),
    "package cut in a header": (deb_bytes(tar_bytes(FILES, "w:xz"))[:100], "dpkg-deb cannot read"),
    "package cut in its content": (deb_bytes(tar_bytes(FILES, "w:xz"))[:400], "dpkg-deb cannot read"),
}


@pytest.mark.parametrize("attack", SHELLS)
def test_other_formats_and_broken_shells(box, attack):
    refused(box, *SHELLS[attack])


def test_bombs(box):
    refused(box, gzip.compress(ZEROS * 2), "it has no files")
    refused(box, gzip.compress(tar_bytes([file("zeros", ZEROS)])), "at most 67 MB")
    refused(box, deb_bytes(gzip.compress(ZEROS * 2), "gz"), "more than 84 MB")


@pytest.mark.parametrize(
    "content", [tar_bytes([file(str(n)) for n in range(6)]), zip_bytes(dict.fromkeys("abcdef", b""))]
)
def test_number_of_members_is_limited(box, monkeypatch, content):
    monkeypatch.setattr(archive, "MEMBERS", 5)
    refused(box, content, "at most 5 members")


def test_an_archive_in_an_archive_stays_packed(tmp_path):
    inner = zip_bytes({"../evil": b"x"})
    for _ in range(50):
        inner = zip_bytes({"inner.zip": inner})
    (tmp_path / "a.zip").write_bytes(inner)
    unpack(tmp_path / "a.zip", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["inner.zip"]


def test_a_link_that_was_there_before_is_not_followed(box):
    (box / "in/out").mkdir()
    (box / "in/out/secret").symlink_to(box / "secret.txt")
    (box / "hostile").write_bytes(zip_bytes({"secret": b"owned"}))
    with pytest.raises(UserError, match="File exists"):
        unpack(box / "hostile", box / "in/out")
    assert (box / "secret.txt").read_text() == "secret"


def test_compressed_files_are_checked_to_their_end(tmp_path):
    text = os.urandom(5000)
    for pack in (gzip.compress, bz2.compress, lzma.compress, zlib.compress, lambda content: zip_bytes({"a": content})):
        (tmp_path / "a").write_bytes(pack(text))
        assert _broken(tmp_path / "a") == ""
        if pack is not zlib.compress:  # has no magic number: unknown, passes
            (tmp_path / "a").write_bytes(pack(text)[:4000])
            assert _broken(tmp_path / "a").startswith("a is broken: ")
    (tmp_path / "a").write_bytes(gzip.compress(ZEROS))
    assert "unpacked it must have at most 67,108,864 bytes" in _broken(tmp_path / "a")
