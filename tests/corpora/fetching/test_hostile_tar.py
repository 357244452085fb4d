"""Tar archives made to do harm, as they are, compressed and in Debian packages: nothing outside of the folder."""

from __future__ import annotations

import gzip
import stat
import tarfile

import pytest
from archives import deb_bytes, file, link, long_path_attack, refused, tar_bytes, tree, with_header

from s2s_plugin.corpora.fetching.archive import unpack

TARS = {
    "absolute path": ([file("{top}/target/evil")], "must be a relative path"),
    "parent": ([file("../evil")], "must be a relative path"),
    "parent of the parent": ([file("a/../../evil")], "must be a relative path"),
    "parent, inside": ([file("a/../evil")], "must be a relative path"),
    "only dots": ([file("..")], "must be a relative path"),
    "backslashes": ([file("..\\..\\evil")], "must be a relative path"),
    "file as the folder": ([file("./")], "File exists|no files|Is a directory"),
    "file through a link to /": ([link("a", "{top}/target"), file("a/evil")], "'a' is a symbolic link"),
    "file through a link up": ([link("a", "../../../target"), file("a/evil")], "'a' is a symbolic link"),
    "link up behind folders": ([link("a/b", "../../x")], "'a/b' is a symbolic link"),
    "link replaced by a file": ([link("a", "../../secret.txt"), file("a", b"owned")], "'a' is a symbolic link"),
    "file through an inner link": ([file("b/x"), link("a", "b"), file("a/evil")], "symbolic link|below a member"),
    "link twice": ([link("a", "b"), link("a", "c"), file("x")], "symbolic link"),
    "hard link outside": ([link("a", "../../secret.txt", hard=True)], "'a' is a hard link"),
    "hard link to /": ([link("a", "/etc/passwd", hard=True)], "'a' is a hard link"),
    "hard link inside": ([file("b"), link("a", "b", hard=True)], "'a' is a hard link"),
    "character device": ([{"name": "null", "type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}], "special file"),
    "block device": ([{"name": "sda", "type": tarfile.BLKTYPE, "devmajor": 8}], "special file"),
    "FIFO": ([{"name": "pipe", "type": tarfile.FIFOTYPE}], "special file"),
    "unknown type": ([{"name": "a", "type": b"Z"}], "special file"),
    "NUL in the name": ([file("a", pax_headers={"path": "evil\0.txt"})], r"'evil\\x00\.txt' has control"),
    "line break in the name": ([file("a\nerror: all is well")], r"'a\\nerror: all is well' has control"),
    "escape in the name": ([file("\x1b]0;owned\x07\x1b[2J")], r"'\\x1b\]0;owned\\x07\\x1b\[2J' has control"),
    "C1 escape in the name": ([file("\x9b2Ja")], r"'\\x9b2Ja' has control"),
    "no UTF-8": ([file("caf\udce9", pax_headers={})], "not UTF-8|surrogate"),
    "twice": ([file("a", b"1"), file("a", b"2")], "File exists"),
    "twice by dots": ([file("a", b"1"), file("./a", b"2")], "File exists"),
    "below a file": ([file("a"), file("a/b")], "File exists|Not a directory"),
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
        "special file",
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
    if packer == "deb" and attack in ("file through an inner link", "link twice"):  # links inside are left out
        (box / "toy.deb").write_bytes(PACKERS[packer](filled))
        unpack(box / "toy.deb", box / "in/out")
        assert all(stat.S_ISREG(mode) or stat.S_ISDIR(mode) for mode, _ in tree(box / "in/out").values())
    else:
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
