"""The spoken digits, on their sample."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path

import pytest
from recipes import ANY_CONTENT, assert_no_leak, pack, read_splits, sample

from s2s_plugin.corpora.fetching.download import Expected
from s2s_plugin.corpora.recipe import load_recipe
from s2s_plugin.corpora.splits import SPLITS
from s2s_plugin.errors import UserError

fsdd = load_recipe("fsdd")
read = functools.partial(read_splits, "fsdd", "audio")


WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """The sample's two takes of each digit and speaker under the numbers 0, 4, 5, 9, 10 and 49."""
    recordings = sample("fsdd")
    folder = tmp_path / "source" / "recordings"
    folder.mkdir(parents=True)
    for path in recordings.glob("*_?.wav"):
        stem, take = path.stem.rsplit("_", 1)
        for number in {"0": (0, 5, 10), "1": (4, 9, 49)}[take]:
            shutil.copyfile(path, folder / f"{stem}_{number}.wav")
    (folder / "readme.wav").write_text("not a recording")
    return folder.parent


def test_fsdd_takes(digits: Path, tmp_path: Path):
    splits = read(fsdd.prepare(tmp_path / "a", "audio", "en", tmp_path, from_dir=digits))
    takes = {split: {item.id.rsplit("_", 1)[1] for item in items} for split, items in splits.items()}
    assert takes == {"train": {"10", "49"}, "valid": {"5", "9"}, "test": {"0", "4"}}
    for items in splits.values():
        assert len(items) == 10 * 6 * 2
        assert {item.id[0]: item.texts for item in items} == {str(n): (word,) for n, word in enumerate(WORDS)}
        assert all(item.speaker == item.id.split("_")[1] for item in items)
    second = fsdd.prepare(tmp_path / "b", "audio", "en", tmp_path, from_dir=digits / "recordings")
    assert read(second) == splits


@pytest.mark.parametrize("test_speakers", ["theo,yweweler", "theo, yweweler", ["theo", "yweweler"]])
def test_fsdd_speakers(digits: Path, tmp_path: Path, test_speakers: str | list[str]):
    options = {"split": "speakers", "test_speakers": test_speakers}
    splits = read(fsdd.prepare(tmp_path / "a", "audio", "en", tmp_path, from_dir=digits, **options))
    assert {item.speaker for item in splits["test"]} == {"theo", "yweweler"}
    assert {item.speaker for item in splits["train"]} == {"george", "jackson", "lucas", "nicolas"}
    assert {item.speaker for item in splits["valid"]} == {"george", "jackson", "lucas", "nicolas"}
    assert {item.id.rsplit("_", 1)[1] for item in splits["valid"]} == {"0", "4"}
    assert [len(splits[split]) for split in SPLITS] == [160, 80, 120]
    assert_no_leak({item.path for item in splits[split]} for split in SPLITS)


def test_fsdd_is_fetched_once(digits: Path, home: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    archive = home[0] / "v1.0.10.tar.gz"
    pack(digits, archive, "free-spoken-digit-dataset-1.0.10")
    monkeypatch.setattr(fsdd, "URL", f"{home[1]}/{archive.name}")
    with pytest.raises(UserError, match=r"its size must be 8,000,000 to 40,000,000 bytes, got"):
        fsdd.prepare(tmp_path / "a", "audio", "en", tmp_path / "cache")
    monkeypatch.setattr(fsdd, "EXPECTED", Expected((1, 1 << 30), content=fsdd.EXPECTED.content))
    with pytest.raises(UserError, match=r"sha256 of its content must be 0fa1b91f.*, got"):
        fsdd.prepare(tmp_path / "a", "audio", "en", tmp_path / "cache")
    monkeypatch.setattr(fsdd, "EXPECTED", ANY_CONTENT)
    first = read(fsdd.prepare(tmp_path / "a", "audio", "en", tmp_path / "cache"))
    archive.unlink()
    assert read(fsdd.prepare(tmp_path / "b", "audio", "en", tmp_path / "cache")) == first


def test_fsdd_mistakes_are_one_line(digits: Path, tmp_path: Path):
    options = {"src": "audio", "tgt": "en", "cache": tmp_path, "from_dir": digits}
    for bad, message in (
        ({"tgt": "de"}, "fsdd supports audio-en, got --src audio --tgt de"),
        ({"split": "random"}, "split must be one of takes, speakers, got 'random'"),
        ({"split": "speakers", "test_speakers": "theo,bob"}, "must be some of george, .*yweweler, got 'theo,bob'"),
        ({"split": "speakers", "test_speakers": ""}, "test_speakers must be some of .*, got ''"),
        ({"from_dir": tmp_path / "none"}, "no recordings below .*none: expected files named DIGIT_SPEAKER_TAKE"),
        ({"from_dir": sample("fsdd")}, "the train split is empty"),  # its takes 0 and 1 are all in the test set
    ):
        with pytest.raises(UserError, match=message):
            fsdd.prepare(tmp_path / "out", **{**options, **bad})
    assert not (tmp_path / "out").exists()


def test_command_line(digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    command = ["--out", str(tmp_path / "out"), "--from", str(digits), "--split", "speakers"]
    assert fsdd.prepare.main([*command, "--test-speakers", "lucas"]) == 0
    assert f"{tmp_path / 'out' / 'test.tsv'}: 60 items" in capsys.readouterr().out
    assert fsdd.prepare.main([*command, "--test-speakers", "bob"]) == 2
    assert capsys.readouterr().err.startswith("error: test_speakers must be some of")
