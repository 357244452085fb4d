"""Debian's package descriptions: the format of the lists, and what is taken."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest
from recipes import assert_languages_do_not_leak, assert_manifest, read

from s2s_plugin.corpora.recipe import load_recipe
from s2s_plugin.corpora.splits import SPLITS
from s2s_plugin.errors import UserError

debian = load_recipe("debian_descriptions")
COMMON = "Toy is a library that reads and writes lists of toys\n in several formats."
TRANSLATION = f"""\
Package: libtoy1
Description-md5: 00000000000000000000000000000001
Description-en: library for lists of toys - runtime files
 {COMMON}
 .
 This package contains the shared library.

Package: toy-tools
Description-md5: 00000000000000000000000000000002
Description-en: tools for lists of toys
 {COMMON}
 .
  * a list
 .
 Second paragraph.

Package: short
Description-md5: 00000000000000000000000000000003
Description-en: short thing that says little
 Too short.

Package: librust-toy-dev
Description-md5: 00000000000000000000000000000004
Description-en: Toys for Rust - Rust source code
 This package contains the source for the Rust toy crate, packaged by debcargo
 for use with cargo and dh-cargo.

Package: g++-12-cross
Description-md5: 00000000000000000000000000000005
Description-en: GNU  C++ compiler
 This is the GNU C++ compiler, a fairly portable optimising compiler for “C++”.
"""
PACKAGES = """\
Package: libtoy1
Source: toy
Version: 1
Architecture: amd64
Filename: pool/libtoy1.deb
Description: library for lists of toys - runtime files

Package: toy-tools
Source: toy (1+b1)
Version: 1
Architecture: amd64

Package: g++-12-cross
Source: gcc-12-cross
Version: 1
Architecture: amd64
"""


def test_first_paragraphs_and_synopses():
    found = list(debian.read_descriptions(TRANSLATION))
    assert found[0] == ("libtoy1", "library for lists of toys - runtime files", f" {COMMON}")
    assert [package for package, _, _ in found] == ["libtoy1", "toy-tools", "short", "librust-toy-dev", "g++-12-cross"]
    assert debian.read_sources(PACKAGES) == {"libtoy1": "toy", "toy-tools": "toy", "g++-12-cross": "gcc-12-cross"}


def test_a_shared_paragraph_is_taken_once_with_the_shortest_synopsis():
    pairs = debian.pairs(debian.read_descriptions(TRANSLATION), debian.read_sources(PACKAGES))
    assert pairs == [
        ("toy", (" ".join(COMMON.split()), "tools for lists of toys")),
        ("gcc", ('This is the GNU C++ compiler, a fairly portable optimising compiler for "C++".', "GNU C++ compiler")),
    ]


@pytest.mark.parametrize(
    ("source", "name"),
    [("gcc-12-cross", "gcc"), ("libtoy", "toy"), ("toy", "toy"), ("linux-signed-6.12-amd64", "linux-signed"),
     ("postgresql-15", "postgresql"), ("0ad", "0ad"), ("lib3mf", "lib3mf"), ("foo-v2", "foo")],
)  # fmt: skip
def test_versions_and_libraries_are_of_a_family(source: str, name: str):
    assert debian.family(source) == name


def many(count: int) -> str:
    stanza = "Package: p{n}\nDescription-en: what the thing {n} is\n The thing {n} does all that things {n} can do.\n"
    return "\n".join(stanza.format(n="".join(chr(97 + int(c)) for c in str(n))) for n in range(count))


@pytest.mark.parametrize("ending", ["", ".xz"])
def test_the_users_own_lists(tmp_path: Path, ending: str):
    folder = tmp_path / "lists"
    folder.mkdir()
    for name, text in (("Translation-en", many(300)), ("Packages", PACKAGES), ("x-security_Packages", "")):
        content = text.encode()
        (folder / f"{name}{ending}").write_bytes(lzma.compress(content) if ending else content)
    out = debian.prepare(tmp_path / "out", "text", "synopsis", tmp_path, from_dir=folder, valid=0.1, test=0.1)
    assert_manifest(out, "debian_descriptions")
    assert_languages_do_not_leak(out, ("text", "synopsis"))
    assert sum(len(read(out, f"{split}.text")) for split in SPLITS) == 300
    assert read(out, "train.synopsis")[0].startswith("what the thing ")


def test_what_is_missing_or_broken_is_named(tmp_path: Path):
    (tmp_path / "Packages").write_text(PACKAGES)
    with pytest.raises(UserError, match=r"no Translation-en and Packages in .*: they are https://"):
        debian.prepare(tmp_path / "out", "text", "synopsis", tmp_path, from_dir=tmp_path)
    (tmp_path / "Translation-en.xz").write_bytes(b"no xz")
    with pytest.raises(UserError, match=r"Translation-en\.xz: not compressed as its name says; get it again"):
        debian.prepare(tmp_path / "out", "text", "synopsis", tmp_path, from_dir=tmp_path)
    assert not (tmp_path / "out").exists()
