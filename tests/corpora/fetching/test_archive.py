"""Unpacking real archives, and archives made to do harm: nothing outside of the folder, and one clear line."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import stat
import struct
import subprocess
import tarfile
import zlib
from pathlib import Path

import pytest
from archives import (
    ar_member,
    deb_bytes,
    file,
    link,
    long_path_attack,
    patched,
    tar_bytes,
    tree,
    with_header,
    zip_bytes,
)

from s2s_plugin.corpora.fetching import archive, archive_formats
from s2s_plugin.corpora.fetching.archive import check_whole, shown, unpack
from s2s_plugin.errors import UserError

FILES = [file("./usr/share/toy/a.txt", b"eins\n"), file("./usr/share/toy/b.txt", b"zwei\n")]
ZEROS = bytes(70_000_000)  # more than a small archive may hold


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A folder with a secret in it, and beside it the place that attacks aim at."""
    (tmp_path / "box/in").mkdir(parents=True)
    (tmp_path / "target").mkdir()
    (tmp_path / "box/secret.txt").write_text("secret")
    return tmp_path / "box"


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


# --- whole archives ---------------------------------------------------------------------------------------------------


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
    refused(box, packed([file("zeros", ZEROS)]), "at most 6[47] MB")


def test_zstd_without_dpkg_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_formats.shutil, "which", lambda name: None)
    (tmp_path / "toy.deb").write_bytes(deb_bytes(b"(\xb5/\xfd", "zst"))
    with pytest.raises(UserError, match=r"zstd.*dpkg"):
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


# --- hostile tar archives, as they are, compressed and in Debian packages ---------------------------------------------

TARS = {
    "absolute path": ([file("{top}/target/evil")], "must be a relative path"),
    "parent": ([file("../evil")], "must be a relative path"),
    "parent of the parent": ([file("a/../../evil")], "must be a relative path"),
    "parent, inside": ([file("a/../evil")], "must be a relative path"),
    "only dots": ([file("..")], "must be a relative path"),
    "backslashes": ([file("..\\..\\evil")], "must be a relative path"),
    "file as the folder": ([file("./")], "is there twice|no files"),
    "file through a link to /": ([link("a", "{top}/target"), file("a/evil")], "'a' is a symbolic link"),
    "file through a link up": ([link("a", "../../../target"), file("a/evil")], "'a' is a symbolic link"),
    "link up behind folders": ([link("a/b", "../../x")], "'a/b' is a symbolic link"),
    "link replaced by a file": ([link("a", "../../secret.txt"), file("a", b"owned")], "'a' is a symbolic link"),
    "file through an inner link": ([file("b/x"), link("a", "b"), file("a/evil")], "symbolic link|below a member"),
    "link twice": ([link("a", "b"), link("a", "c"), file("x")], "symbolic link|there twice"),
    "hard link outside": ([link("a", "../../secret.txt", hard=True)], "'a' is a hard link"),
    "hard link to /": ([link("a", "/etc/passwd", hard=True)], "'a' is a hard link"),
    "hard link inside": ([file("b"), link("a", "b", hard=True)], "'a' is a hard link"),
    "character device": ([{"name": "null", "type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}], "is a device"),
    "block device": ([{"name": "sda", "type": tarfile.BLKTYPE, "devmajor": 8}], "is a device"),
    "FIFO": ([{"name": "pipe", "type": tarfile.FIFOTYPE}], "is a FIFO"),
    "unknown type": ([{"name": "a", "type": b"Z"}], "unknown type"),
    "NUL in the name": ([file("a", pax_headers={"path": "evil\0.txt"})], r"'evil\\x00\.txt' has control"),
    "line break in the name": ([file("a\nerror: all is well")], r"'a\\nerror: all is well' has control"),
    "escape in the name": ([file("\x1b]0;owned\x07\x1b[2J")], r"'\\x1b\]0;owned\\x07\\x1b\[2J' has control"),
    "C1 escape in the name": ([file("\x9b2Ja")], r"'\\x9b2Ja' has control"),
    "no UTF-8": ([file("caf\udce9", pax_headers={})], "not UTF-8|surrogate"),
    "twice": ([file("a", b"1"), file("a", b"2")], "'a' is there twice"),
    "twice by dots": ([file("a", b"1"), file("./a", b"2")], "'./a' is there twice"),
    "twice but for case": ([file("README"), file("readme")], "'readme' is there twice"),
    "twice but for the Unicode form": ([file("caf\u00e9"), file("cafe\u0301")], "is there twice"),
    "below a file": ([file("a"), file("a/b")], "'a/b' is below a member that is not a folder"),
    "file in place of a folder": ([file("a/b"), file("A")], "'A' is there twice"),
    "deep": ([file("a/" * 1000 + "b")], "at most 1000 bytes and 40 parts"),
    "deep, short": ([file("a/" * 45 + "b")], "at most 1000 bytes and 40 parts"),
    "long name": ([file("a" * 300)], "parts of at most 255 bytes"),
    "no files": ([{"name": "a", "type": tarfile.DIRTYPE}], "it has no files"),
    "empty": ([], "it has no files"),
    "long header": ([file("a", pax_headers={"comment": "x" * 100_000})], "a header must have at most 16,384 bytes"),
    "sparse": (
        [
            file(
                "a",
                b"1\n0\n1\n".ljust(513),
                pax_headers={
                    "GNU.sparse.major": "1",
                    "GNU.sparse.minor": "0",
                    "GNU.sparse.name": "a",
                    "GNU.sparse.realsize": "999999999999",
                },
            )
        ],
        "unknown type",
    ),
}
PACKERS = {
    "tar": lambda entries: tar_bytes(entries),
    "tar.gz": lambda entries: tar_bytes(entries, "w:gz"),
    "tar.xz": lambda entries: tar_bytes(entries, "w:xz"),
    "deb": lambda entries: deb_bytes(tar_bytes(entries, "w:gz"), "gz"),
}


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("attack", TARS)
def test_hostile_tar(box, packer, attack):
    entries, message = TARS[attack]
    filled = [
        {key: value.format(top=box.parent) if key in ("name", "linkname") else value for key, value in entry.items()}
        for entry in entries
    ]
    refused(box, PACKERS[packer](filled), message)


@pytest.mark.parametrize("packer", PACKERS)
def test_long_path_through_links(box, packer):
    refused(box, PACKERS[packer](long_path_attack(box.parent / "target")), "is a symbolic link|at most 1000 bytes")


BROKEN_TARS = {
    "negative size": (with_header(124, b"\xff" * 12), "header must have|negative size|broken"),
    "size beyond the end": (with_header(124, b"77777777777\0"), "at most 67 MB|cut or broken|end of data"),
    "header broken": (tar_bytes([file("a")])[:1024] + b"x" * 512 + bytes(9216), "cut or broken"),
    "cut in a header": (tar_bytes([file("a"), file("b")])[:1100], "cut or broken"),
    "cut in a file": (tar_bytes([file("a", b"x" * 5000)])[:2000], "end of data|must have 5,000 bytes|cut or broken"),
    "cut before the end": (tar_bytes([file("a")])[:1024], "cut or broken"),
    "headers about headers": (
        b"".join(with_header(156, b"L")[:1024] for _ in range(3000)) + tar_bytes([file("a")]),
        "recursion|cut or broken|no archive",
    ),
}


@pytest.mark.parametrize("attack", BROKEN_TARS)
def test_broken_tar(box, attack):
    content, message = BROKEN_TARS[attack]
    refused(box, content, message)
    refused(box, gzip.compress(content), message)


# --- hostile zip archives ---------------------------------------------------------------------------------------------


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
    "device": (zip_bytes({"a": b""}, stat.S_IFCHR | 0o777), "'a' is a device"),
    "FIFO": (zip_bytes({"a": b""}, stat.S_IFIFO | 0o777), "'a' is a FIFO"),
    "socket": (zip_bytes({"a": b""}, stat.S_IFSOCK | 0o777), "'a' is a socket"),
    "twice": (zip_bytes([("a", b"1"), ("a", b"2")]), "'a' is there twice"),
    "twice but for case": (zip_bytes({"a/B": b"1", "A/b": b"2"}), "'A/b' is there twice"),
    "below a file": (zip_bytes({"a": b"1", "a/b": b"2"}), "is below a member that is not a folder"),
    "encrypted": (flagged(zip_bytes({"a": b"1"}), 0x1), "'a' is encrypted"),
    "strongly encrypted": (flagged(zip_bytes({"a": b"1"}), 0x41), "'a' is encrypted"),
    "encrypted directory": (flagged(zip_bytes({"a": b"1"}), 0x2000), "'a' is encrypted"),
    "AES": (with_method(zip_bytes({"a": b"1"}), 99), "unknown method 99"),
    "Deflate64": (with_method(zip_bytes({"a": b"1"}), 9), "unknown method 9"),
    "bomb": (zip_bytes({"zeros": ZEROS}, deflate=True), "at most 67 MB"),
    "bomb that lies about its size": (with_size(zip_bytes({"z": ZEROS}, deflate=True), 10), "CRC-32"),
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


@pytest.mark.skipif(shutil.which("zip") is None, reason="no zip")
def test_zip_with_a_real_password(box):
    subprocess.run(["zip", "-qP", "secret", "locked.zip", "secret.txt"], cwd=box, check=True)
    refused(box, (box / "locked.zip").read_bytes(), r"'secret\.txt' is encrypted")


# --- other formats, outer shells, limits ------------------------------------------------------------------------------

GOOD_TAR = tar_bytes([file("a", os.urandom(5000))])
SHELLS = {
    "gzip in gzip": (gzip.compress(gzip.compress(GOOD_TAR)), "compressed more than once"),
    "xz in bzip2 in gzip": (gzip.compress(bz2.compress(lzma.compress(GOOD_TAR))), "compressed more than once"),
    "gzip of a text": (gzip.compress(b"some text" * 100), "it is no archive, or broken"),
    "gzip of a zip": (gzip.compress(zip_bytes({"a": b""})), "it is no archive, or broken"),
    "gzip bomb": (gzip.compress(ZEROS * 2), "at most 84 MB"),
    "bzip2 bomb": (bz2.compress(ZEROS * 2), "at most 84 MB"),
    "gzip bomb in a package": (deb_bytes(gzip.compress(ZEROS * 2), "gz"), "at most 84 MB"),
    "cut gzip": (gzip.compress(GOOD_TAR)[:3000], "end-of-stream"),
    "cut xz": (lzma.compress(GOOD_TAR)[:3000], "end-of-stream"),
    "cut bzip2": (bz2.compress(GOOD_TAR)[:3000], "end-of-stream"),
    "wrong checksum": (gzip.compress(GOOD_TAR)[:-8] + bytes(8), "CRC"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(600), "it is 7z; known are zip, .deb"),
    "rar": (b"Rar!\x1a\x07\x01\x00" + bytes(600), "it is rar; known are"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(600), "it is zstd; known are"),
    "web page": (b"<!DOCTYPE html><html>Log in</html>", "it is a web page; known are"),
    "nothing": (b"", "it is no archive, or broken"),
    "noise": (b"\x93" * 2000, "it is no archive, or broken"),
    "package without content": (b"!<arch>\n" + ar_member("debian-binary", b"2.0\n"), "must have one data.tar, got 0"),
    "package with two contents": (
        deb_bytes(tar_bytes(FILES, "w:xz"), **{"data.tar.gz": tar_bytes(FILES, "w:gz")}),
        "must have one data.tar, got 2",
    ),
    "negative size in a package": (b"!<arch>\n" + ar_member("data.tar", b"x" * 99, "-99"), "it is cut or broken"),
    "odd size in a package": (b"!<arch>\n" + ar_member("data.tar", b"x" * 99, "9_9"), "it is cut or broken"),
    "size beyond the end of a package": (b"!<arch>\n" + ar_member("data.tar", b"x", "999999999"), "cut or broken"),
    "package cut in a header": (deb_bytes(tar_bytes(FILES, "w:xz"))[:100], "cut or broken"),
    "package cut in its content": (deb_bytes(tar_bytes(FILES, "w:xz"))[:400], "cut or broken"),
}


@pytest.mark.parametrize("attack", SHELLS)
def test_other_formats_and_broken_shells(box, attack):
    refused(box, *SHELLS[attack])


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


def test_links_that_were_there_before_are_not_followed(box):
    (box / "in/out").mkdir()
    (box / "in/out/a").symlink_to(box.parent / "target")
    (box / "in/out/secret").symlink_to(box / "secret.txt")
    for name in ("a/evil", "secret"):
        (box / "hostile").write_bytes(zip_bytes({name: b"owned"}))
        with pytest.raises(UserError, match=r"is below a link|File exists"):
            unpack(box / "hostile", box / "in/out")
    assert (box / "secret.txt").read_text() == "secret" and not list((box.parent / "target").iterdir())


def test_compressed_files_are_checked_to_their_end(tmp_path):
    text = os.urandom(5000)
    for pack in (gzip.compress, bz2.compress, lzma.compress, zlib.compress, lambda content: zip_bytes({"a": content})):
        (tmp_path / "a").write_bytes(pack(text))
        check_whole(tmp_path / "a")
        if pack is not zlib.compress:  # has no magic number: unknown, passes
            (tmp_path / "a").write_bytes(pack(text)[:4000])
            with pytest.raises(UserError, match="a is broken: "):
                check_whole(tmp_path / "a")


def test_control_characters_are_shown_escaped():
    assert shown("a\x1b[2J\u202eb\n\udce9é한") == "a\\x1b[2J\\u202eb\\n\\udce9é한"
