"""Ding, on small excerpts in the format of the dictionary."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest
from command_line import call
from recipes import assert_languages_do_not_leak, assert_manifest, read

from s2s_plugin.corpora.recipe import load_recipe
from s2s_plugin.errors import UserError

ding = load_recipe("ding")


ENTRIES = {
    # what the dictionary has -> the pairs that it gives (german, english)
    "je {conj} … desto; je … umso | Je mehr sie nachdachte, desto besser gefiel ihr die Idee. :: "
    "the … the | The more she thought, the more she liked the idea.": [
        (
            "Je mehr sie nachdachte, desto besser gefiel ihr die Idee.",
            "The more she thought, the more she liked the idea.",
        )
    ],
    "Sonnenbrand {m} [med.] | einen Sonnenbrand bekommen | Haben Sie etwas gegen Sonnenbrand? :: "
    "sunburn; solar dermatitis | to get a sunburn {got; gotten} | Have you anything for sunburn?": [
        ("einen Sonnenbrand bekommen", "to get a sunburn"),
        ("Haben Sie etwas gegen Sonnenbrand?", "Have you anything for sunburn?"),
    ],
    "Der Club ist (wirklich) für jedermann zugänglich. [ugs.] :: The club is open to all. (prov)": [
        ("Der Club ist für jedermann zugänglich.", "The club is open to all.")
    ],
    "in der Tasche haben; im Sack haben [veraltet]; ganz sicher haben :: to have for sure; to have got it": [
        ("in der Tasche haben", "to have for sure"),
        ("ganz sicher haben", "to have got it"),
    ],
    "die Noten aushängen :: to post the marks/grades; to put up the marks": [
        ("die Noten aushängen", "to post the marks"),
        ("die Noten aushängen", "to put up the marks"),
    ],
    "ins Blickfeld/in den Blickpunkt rücken :: to come to the fore": [],
    "auf etw. drücken und warten :: to push sth. and wait": [],
    "er/sie hat gut gebeten :: he/she has asked well": [],
    "Akademie der Literatur(wissenschaft) :: academy of literary studies": [],
    "großer roter Vogel {m} [ornith.] :: big red bird": [],
    "Don’t sagt man nicht. :: You don’t say “don’t”.": [
        ("Don't sagt man nicht.", "You don't say \"don't\".")
    ],
    "Hilfe bei Infarkt des Herzens /HI/ :: help with infarction of the heart /CI/": [
        ("Hilfe bei Infarkt des Herzens", "help with infarction of the heart")
    ],
    "# Version :: devel 2023 und so weiter": [],
}  # fmt: skip


@pytest.mark.parametrize("entry", ENTRIES)
def test_ding_entry(entry):
    assert [pair for _, pair in ding.read_pairs([entry], "clean", 3, 12)] == ENTRIES[entry]


def test_ding_sentences_are_sentences():
    pairs = [pair for _, pair in ding.read_pairs(ENTRIES, "sentences", 2, 20)]
    assert ("einen Sonnenbrand bekommen", "to get a sunburn") not in pairs
    assert len(pairs) == 4


@pytest.fixture
def dictionary(tmp_path) -> Path:
    """Entries with the same sentence in several of them, so that a split by entry alone would leak."""
    folder = tmp_path / "source"
    folder.mkdir()
    lines = ["# License :: GPL Version 2 or later"]
    for i in range(400):
        lines.append(
            f"Wort {i} {{n}} | Das ist Satz Nummer {i}. | Wir sehen {i % 60} Häuser. :: "
            f"word {i} | This is sentence number {i}. | We see {i % 60} houses."
        )
    (folder / "de-en").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_ding_corpus_does_not_leak_and_is_stable(dictionary, tmp_path):
    options = {"cache": tmp_path / "cache", "from_dir": dictionary, "valid": 0.1, "test": 0.1}
    first = ding.prepare(tmp_path / "a", "en", "de", **options)
    assert_languages_do_not_leak(first, ("en", "de"))
    files = assert_manifest(first, "ding")
    packed = tmp_path / "packed"
    packed.mkdir()
    (packed / "de-en.txt.gz").write_bytes(gzip.compress((dictionary / "de-en").read_bytes()))
    second = ding.prepare(tmp_path / "b", "en", "de", **{**options, "from_dir": packed})
    assert assert_manifest(second, "ding") == files
    turned = ding.prepare(tmp_path / "c", "de", "en", **options)
    assert read(turned, "train.de") == read(first, "train.de")


def test_ding_options_are_checked(dictionary, tmp_path):
    for bad in ({"src": "fr"}, {"kind": "verbs"}, {"from_dir": tmp_path}, {"valid": 1.5}):
        options = {"src": "en", "tgt": "de", "cache": tmp_path, "from_dir": dictionary, **bad}
        with pytest.raises(UserError, match=str(next(iter(bad.values())))):
            ding.prepare(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_command_line(dictionary, tmp_path):
    command = ["data/ding/prepare.py", "--out", str(tmp_path / "out"), "--from", str(dictionary)]
    done = call([*command, "--valid", "0.1", "--test", "0.1"])
    assert f"{tmp_path / 'out' / 'train.en'}: " in done.stdout
    done = call([*command, "--tgt", "fr"], check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: ding supports en-de, de-en, got")
    assert "Traceback" not in done.stderr


def test_cut_dictionary_is_one_line(tmp_path: Path):
    (tmp_path / "de-en.txt.gz").write_bytes(gzip.compress(random.Random(1).randbytes(9000))[:5000])
    with pytest.raises(UserError, match=r"de-en\.txt\.gz: the compressed file is cut short"):
        ding.prepare(tmp_path / "out", "en", "de", tmp_path, from_dir=tmp_path)
