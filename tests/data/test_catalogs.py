"""Gettext catalogs, written here."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from recipes import assert_languages_do_not_leak, assert_manifest, read

from s2s_plugin.corpora.recipe import load_recipe
from s2s_plugin.errors import UserError

catalogs = load_recipe("catalogs")

# message -> its translation, and the pairs that they give
MESSAGES: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "female^Elvish Archer": ("Elfische Bogenschützin", [("Elvish Archer", "Elfische Bogenschützin")]),
    "Halt! Who are you?\n<i>Run away.</i>": (
        "Halt! Wer seid Ihr?\nLauft weg.",
        [("Halt!", "Halt!"), ("Who are you?", "Wer seid Ihr?"), ("Run away.", "Lauft weg.")],
    ),
    "One. Two. Three.": ("Eins und zwei und drei.", [("One. Two. Three.", "Eins und zwei und drei.")]),
    "One line.": ("Zwei\nZeilen.", [("One line.", "Zwei Zeilen.")]),
    "menu\4~Open file": ("Datei ö~ffnen", [("Open file", "Datei öffnen")]),
    "a room\0rooms": ("ein Raum\0Räume", [("a room", "ein Raum")]),
}
DROPPED = {"$name is here": "$name ist da", "100 %": "100 %", "...": "…", "Konrad": "Konrad", "%d files": "%d Dateien"}


def write_catalog(path: Path, messages: dict[str, str]) -> None:
    """A .mo file, as the manual of gettext describes it."""
    header = "Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=2; plural=n != 1;\n"
    items = sorted({"": header, **messages}.items())
    texts = [text.encode() for side in zip(*items, strict=True) for text in side]
    start, table = 28 + 8 * len(texts), b""
    for text in texts:
        table += struct.pack("<2I", len(text), start)
        start += len(text) + 1
    path.parent.mkdir(parents=True, exist_ok=True)
    begin = struct.pack("<7I", 0x950412DE, 0, len(items), 28, 28 + 8 * len(items), 0, 0)
    path.write_bytes(begin + table + b"".join(text + b"\0" for text in texts))


def test_messages_become_pairs(tmp_path: Path):
    write_catalog(tmp_path / "x.mo", {key: text for key, (text, _) in MESSAGES.items()} | DROPPED)
    got = {message: catalogs.sentences(message, text) for message, text in catalogs.messages(tmp_path / "x.mo")}
    for message, (_, pairs) in MESSAGES.items():
        assert got[message.split("\0")[0].rpartition("\4")[2].replace("female^", "")] == pairs
    for message in DROPPED:
        assert not any(catalogs.is_good(*pair) for pair in got[message])
    assert all(
        catalogs.is_good(*pair) for _, pairs in MESSAGES.values() for pair in pairs if pair != ("Halt!", "Halt!")
    )


@pytest.mark.parametrize("direction", [("en", "de"), ("ko", "en")], ids="-".join)
def test_corpus(tmp_path: Path, direction: tuple[str, str]):
    words = ["the", "king", "rides", "over", "a", "bridge", "to", "old", "towers", "of", "stone"]
    texts = {f"{word} and {other} again": f"{other} noch und {word} 왕" for word in words for other in words}
    lang = "ko" if "ko" in direction else "de"
    write_catalog(tmp_path / f"raw/locale/{lang}/LC_MESSAGES/game.mo", texts)
    out = catalogs.prepare(tmp_path / "out", *direction, tmp_path, tmp_path / "raw", valid=0.1, test=0.2)
    assert_manifest(out, "catalogs")
    assert_languages_do_not_leak(out, direction)
    english = [line for split in ("train", "valid", "test") for line in read(out, f"{split}.en")]
    assert set(english) <= set(texts) and len(english) > 100


def test_mistakes(tmp_path: Path):
    with pytest.raises(UserError, match=r"no de/LC_MESSAGES/\*\.mo in"):
        catalogs.prepare(tmp_path / "out", "en", "de", tmp_path, tmp_path)
    (tmp_path / "de/LC_MESSAGES").mkdir(parents=True)
    (tmp_path / "de/LC_MESSAGES/bad.mo").write_bytes(b"no catalog")
    with pytest.raises(UserError, match="no catalog of gettext"):
        catalogs.prepare(tmp_path / "out", "en", "de", tmp_path, tmp_path)
