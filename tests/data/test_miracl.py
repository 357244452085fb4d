"""MIRACL-VC1, on its sample."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path

import pytest
from recipes import read_splits, sample

from s2s_plugin.corpora.recipe import load_recipe
from s2s_plugin.corpora.splits import SPLITS
from s2s_plugin.errors import UserError

miracl = load_recipe("miracl")
read = functools.partial(read_splits, "miracl", "video")


@pytest.fixture
def mouths(tmp_path) -> Path:
    """The sample's words of one woman and one man, each under three names."""
    speakers = sample("miracl")
    for speaker in ("F01", "M01"):
        for number in (1, 2, 3):
            for path in (speakers / speaker).rglob("*.jpg"):
                copy = tmp_path / "data/cropped" / f"{speaker[0]}0{number}" / path.relative_to(speakers / speaker)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())
    return tmp_path / "data"


def test_miracl_holds_speakers_out(mouths, tmp_path):
    splits = read(miracl.prepare(tmp_path / "out", "video", "en", tmp_path, mouths))
    speakers = {split: {item.speaker for item in splits[split]} for split in SPLITS}
    assert speakers == {"train": {"F01", "F02"}, "valid": {"F03", "M01"}, "test": {"M02", "M03"}}
    for items in splits.values():
        assert len(items) == 20
        assert {item.texts[0] for item in items} == set(miracl.TEXTS["words"])
        assert all(list(item.path.glob("color_*.jpg")) for item in items)
    first = splits["train"][0]
    assert (first.id, first.texts, first.speaker) == ("F01_words_01_01", ("begin",), "F01")
    assert first.path == mouths / "cropped/F01/words/01/01"


def test_miracl_with_few_speakers_and_phrases(mouths, tmp_path):
    for speaker in ("F02", "F03", "M03"):
        shutil.rmtree(mouths / "cropped" / speaker)
    for words in (mouths / "cropped").glob("*/words"):
        shutil.copytree(words, words.with_name("phrases"))
    phrases = read(miracl.prepare(tmp_path / "out", "video", "en", tmp_path, mouths / "cropped", kind="phrases"))
    assert {split: phrases[split][0].speaker for split in SPLITS} == {
        "train": "F01",
        "valid": "M01",
        "test": "M02",
    }
    assert phrases["train"][-1].texts == ("have a good time",)
    both = read(miracl.prepare(tmp_path / "out", "video", "en", tmp_path, mouths, kind="both"))
    assert [len(both[split]) for split in SPLITS] == [20, 20, 20]


def test_miracl_mistakes_are_named(mouths, tmp_path):
    def problem(**changes: object) -> str:
        options = {"src": "video", "tgt": "en", "cache": tmp_path, "from_dir": mouths, **changes}
        with pytest.raises(UserError) as caught:
            miracl.prepare(tmp_path / "out", **options)
        assert not (tmp_path / "out").exists()
        return str(caught.value)

    assert "--src audio" in problem(src="audio")
    assert "--tgt ko" in problem(tgt="ko")
    assert "kind must be one of words, phrases, both" in problem(kind="letters")
    assert "--from FOLDER" in problem(from_dir=None)
    assert "no phrases in" in problem(kind="phrases")
    assert "no words in" in problem(from_dir=mouths / "cropped/F01")
    (mouths / "cropped/F01/words/03/02").mkdir()
    assert "F01/words/03/02 has no color_*.jpg" in problem()
    (mouths / "cropped/F01/words/03/02").rename(mouths / "cropped/F01/words/11")
    (mouths / "cropped/F01/words/11/01").mkdir()
    assert "F01/words/11: no such class" in problem()
    shutil.rmtree(mouths / "cropped/F01")
    for speaker in ("F02", "F03", "M01"):
        shutil.rmtree(mouths / "cropped" / speaker)
    assert "at least three, got M02, M03" in problem()
