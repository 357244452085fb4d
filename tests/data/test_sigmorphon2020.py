"""SIGMORPHON 2020: its samples, its format, and its home."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from recipes import assert_manifest, read, sample

from s2s_plugin.corpora.fetching.download import Expected
from s2s_plugin.corpora.recipe import load_recipe
from s2s_plugin.corpora.splits import SPLITS
from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import file_sha256, write_json

sigmorphon = load_recipe("sigmorphon2020")
LINES = {"train": "ça\ts a\nb\tb e\n", "dev": "d\td e\n", "test": "e\te ɑ̃\n"}


@pytest.mark.parametrize("lang", ["fre", "hun", "ice", "jpn", "kor"])
def test_samples_are_the_official_split(tmp_path: Path, lang: str):
    folder = sample("sigmorphon2020")
    for name, expected in json.loads(sigmorphon.EXPECTED.read_text()).items():
        assert not name.startswith(lang) or not Expected(*expected).problem(folder / name)
    out = sigmorphon.prepare(tmp_path / "out", lang, "ipa", tmp_path, from_dir=folder)
    assert_manifest(out, "sigmorphon2020")
    assert [len(read(out, f"{split}.{lang}")) for split in SPLITS] == [3_600, 450, 450]
    words, phones = read(out, f"test.{lang}"), read(out, "test.ipa")
    raw = (folder / f"{lang}_test.tsv").read_text(encoding="utf-8").splitlines()
    pairs = [f"{word}\t{pronunciation}" for word, pronunciation in zip(words, phones, strict=True)]
    assert pairs == [unicodedata.normalize("NFC", line) for line in raw]


def test_files_come_from_the_public_home(home: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sigmorphon, "URL", f"{home[1]}/{{folder}}/{{lang}}_{{folder}}.tsv")
    for folder, lines in LINES.items():
        (home[0] / folder).mkdir()
        (home[0] / folder / f"fre_{folder}.tsv").write_text(lines, encoding="utf-8")
    with pytest.raises(UserError, match=r"fre_train\.tsv: its size must be 79,465 bytes, got 14;"):
        sigmorphon.prepare(tmp_path / "out", "fre", "ipa", tmp_path / "cache")
    of_these = {file.name: [file.stat().st_size, file_sha256(file)] for file in home[0].rglob("*.tsv")}
    write_json(tmp_path / "expected.json", of_these)
    monkeypatch.setattr(sigmorphon, "EXPECTED", tmp_path / "expected.json")
    out = sigmorphon.prepare(tmp_path / "out", "fre", "ipa", tmp_path / "cache")
    assert read(out, "train.fre") == ["ça", "b"] and read(out, "test.ipa") == ["e ɑ̃"]


def test_mistakes_are_one_line(tmp_path: Path):
    with pytest.raises(UserError, match=r"--src must be one of kor, ady, .*got eng"):
        sigmorphon.prepare(tmp_path / "out", "eng", "ipa", tmp_path)
    with pytest.raises(UserError, match=r"no kor_train\.tsv in"):
        sigmorphon.prepare(tmp_path / "out", "kor", "ipa", tmp_path, from_dir=tmp_path)
    for split, lines in LINES.items():
        (tmp_path / f"kor_{split}.tsv").write_text(lines + "only a word\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"kor_train\.tsv:3: expected a word, a tab"):
        sigmorphon.prepare(tmp_path / "out", "kor", "ipa", tmp_path, from_dir=tmp_path)
