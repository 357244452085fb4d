"""Translations of package descriptions, in lists written here."""

from __future__ import annotations

from pathlib import Path

import pytest
from recipes import assert_languages_do_not_leak, assert_manifest, read

from s2s_plugin.corpora.recipe import load_recipe
from s2s_plugin.errors import UserError

descriptions = load_recipe("translated_descriptions")

ENGLISH = """\
Package: toy
Description-md5: 1
Description-en: lists of toys
 Toy reads lists
 of toys. It writes them, too.
 .
  * a list
 .
 One sentence. Another one.

Package: toy-old
Description-md5: 2
Description-en: another version
 It has changed.
"""
GERMAN = """\
Package: toy
Description-md5: 1
Description-de: Listen von Spielzeug
 Toy liest Listen von Spielzeug. Es schreibt
 sie auch.
 .
  * eine Liste
 .
 Ein Satz, und noch einer.

Package: toy-old
Description-md5: 3
Description-de: eine andere Fassung
 Sie hat sich geändert.
"""
PAIRS = [
    ("lists of toys", "Listen von Spielzeug"),
    ("Toy reads lists of toys.", "Toy liest Listen von Spielzeug."),
    ("It writes them, too.", "Es schreibt sie auch."),
    ("One sentence. Another one.", "Ein Satz, und noch einer."),
]


def test_sentences():
    english, german = (dict(descriptions.read_descriptions(text)) for text in (ENGLISH, GERMAN))
    assert list(descriptions.sentences(english["1"], german["1"])) == PAIRS
    assert not list(descriptions.sentences(english["1"], german["1"][:-1]))
    assert "3" not in english


@pytest.mark.parametrize("direction", [("en", "de"), ("de", "en")], ids="-".join)
def test_corpus(tmp_path: Path, direction: tuple[str, str]):
    words = ["king", "bridge", "tower", "stone", "river", "forest", "castle", "road"]
    lists = {"en": "", "de": ""}
    for number, (one, other) in enumerate((one, other) for one in words for other in words):
        for lang, text in {"en": f"the {one} and the {other}", "de": f"{one} und {other} dazu"}.items():
            lists[lang] += (
                f"Package: p{number}\nDescription-md5: {number}\nDescription-{lang}: {text}\n {text}, too.\n\n"
            )
    for lang, text in lists.items():
        (tmp_path / f"main_i18n_Translation-{lang}").write_text(text)
    out = descriptions.prepare(tmp_path / "out", *direction, tmp_path, tmp_path, valid=0.1, test=0.2)
    assert_manifest(out, "translated_descriptions")
    assert_languages_do_not_leak(out, direction)
    for split in ("train", "valid", "test"):  # a description stays together
        assert len(read(out, f"{split}.de")) == 2 * len({line.split(",")[0] for line in read(out, f"{split}.de")})


def test_mistakes(tmp_path: Path):
    with pytest.raises(UserError, match="no Translation-en in"):
        descriptions.prepare(tmp_path / "out", "en", "de", tmp_path, tmp_path)
    with pytest.raises(UserError, match="one side must be en, got --src de --tgt fr"):
        descriptions.prepare(tmp_path / "out", "de", "fr", tmp_path, tmp_path)
