"""The stamps of Tux Paint: on a small folder and, where the package is, for real."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from recipes import assert_no_leak, pack, package, read_splits, text_keys

from s2s_plugin.corpora.fetching import packages
from s2s_plugin.corpora.fetching.download import Expected
from s2s_plugin.corpora.recipe import load_recipe
from s2s_plugin.errors import UserError

tuxpaint = load_recipe("tuxpaint")
read = functools.partial(read_splits, "tuxpaint")


STAMP = "An apple, red “and” sweet.\nde.utf8=Ein Apfel.\n fr.utf8=Une pomme.\nko.utf8=사과\npt_BR.utf8=\nxx.utf8=...\n"


def write_stamps(folder: Path, count: int = 40) -> Path:
    """Stamps with a picture and a French recording, two and two with one description; recordings 0 to 2 are one."""
    stamps = folder / "usr/share/tuxpaint/stamps/animals"
    stamps.mkdir(parents=True)
    for n in range(count):
        name = f"{chr(97 + n // 2 % 26)}{n // 52}"
        (stamps / f"{n}.txt").write_text(f"A {name}.\nfr.utf8=Une {name}.\nde.utf8=Ein {name}.\n", encoding="utf-8")
        Image.new("RGB", (4, 4), (n, 0, 0)).save(stamps / f"{n}.png")
        soundfile.write(stamps / f"{n}_desc_fr.ogg", np.linspace(0, n / count, 8000), 16000)
    for n in (1, 2):
        shutil.copyfile(stamps / "0_desc_fr.ogg", stamps / f"{n}_desc_fr.ogg")
    (stamps / "drawn.txt").write_text("Drawn.\nfr.utf8=Dessinée.\n", encoding="utf-8")
    (stamps / "drawn.svg").write_text("<svg/>", encoding="utf-8")
    soundfile.write(stamps / "drawn_desc_fr.ogg", np.zeros(1600), 16000)  # 8 letters in a tenth of a second
    return folder


def test_tuxpaint_descriptions():
    assert tuxpaint.read_descriptions(STAMP) == {
        "en": 'An apple, red "and" sweet.',
        "de": "Ein Apfel.",
        "fr": "Une pomme.",
        "ko": "사과",
    }
    assert tuxpaint.read_descriptions("") == {}


def test_tuxpaint_corpus_does_not_leak_and_is_stable(tmp_path: Path):
    options = {"cache": tmp_path / "cache", "from_dir": write_stamps(tmp_path / "source"), "valid": 0.2, "test": 0.2}
    pictures = read("image", tuxpaint.prepare(tmp_path / "a", "image", "de", **options))
    assert_no_leak(text_keys(pictures))
    assert sum(map(len, pictures.values())) == 40
    assert {item.id: item.texts for split in pictures.values() for item in split}["animals/3"] == ("Ein b0.",)
    assert read("image", tuxpaint.prepare(tmp_path / "b", "image", "de", **options)) == pictures
    spoken = read("audio", tuxpaint.prepare(tmp_path / "c", "audio", "fr", **options))
    assert_no_leak(text_keys(spoken))
    ids = {item.id for split in spoken.values() for item in split}
    assert ids == {f"animals/{n}" for n in range(40)} - {"animals/1", "animals/2"}  # the same recording as 0


def test_tuxpaint_without_apt(home: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    archive = home[0] / "stamps.tar.gz"
    pack(write_stamps(tmp_path / "source") / "usr/share/tuxpaint/stamps", archive, "tuxpaint-stamps-1/stamps")
    monkeypatch.setattr(packages, "has_apt", lambda: False)
    monkeypatch.setattr(tuxpaint, "URL", f"{home[1]}/{archive.name}")
    options = {"cache": tmp_path / "cache", "valid": 0.2, "test": 0.2}
    with pytest.raises(UserError, match=r"its size must be 80,000,000 to 300,000,000 bytes"):
        tuxpaint.prepare(tmp_path / "out", "image", "en", **options)
    monkeypatch.setattr(tuxpaint, "EXPECTED", Expected(archive.stat().st_size, tuxpaint.EXPECTED.sha256))
    with pytest.raises(UserError, match=r"sha256 must be 84206557"):
        tuxpaint.prepare(tmp_path / "out", "image", "en", **options)
    monkeypatch.setattr(tuxpaint, "EXPECTED", Expected(archive.stat().st_size, tuxpaint.file_sha256(archive)))
    out = tuxpaint.prepare(tmp_path / "out", "image", "en", **options)
    assert sum(map(len, read("image", out).values())) == 40


def test_tuxpaint_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture):
    source = write_stamps(tmp_path / "source")
    options = {"src": "image", "tgt": "en", "cache": tmp_path, "from_dir": source}
    for bad, message in (
        ({"src": "video"}, "--src audio or image, got --src video"),
        ({"src": "audio", "tgt": "ko"}, "recordings for --tgt be, .*ru, got --tgt ko"),
        ({"tgt": "xx"}, r"no image in .*stamps has a description in --tgt xx"),
        ({"test": 0.0}, "valid and test must be fractions .* and 0.0"),
        ({"from_dir": tmp_path / "none"}, r"no stamps in .*none: .*--from FOLDER"),
    ):
        with pytest.raises(UserError, match=message):
            tuxpaint.prepare(tmp_path / "out", **{**options, **bad})
    next(source.rglob("7_desc_fr.ogg")).write_bytes(b"OggS")
    command = ["--out", str(tmp_path / "out"), "--from", str(source), "--src", "audio", "--tgt", "fr"]
    assert tuxpaint.prepare.main(command) == 2
    assert "7_desc_fr.ogg: not a sound file" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_tuxpaint_for_real(tmp_path: Path):
    folder = package("tuxpaint-stamps-default")
    splits = read("image", tuxpaint.prepare(tmp_path / "a", "image", "ko", tmp_path, from_dir=folder))
    assert_no_leak(text_keys(splits))
    items = {item.id: item for split in splits.values() for item in split}
    assert 700 < len(items) < 950
    assert items["animals/birds/adelaide-rosella"].texts[0]
    splits = read("audio", tuxpaint.prepare(tmp_path / "b", "audio", "es", tmp_path, from_dir=folder))
    assert_no_leak(text_keys(splits))
    assert sum(map(len, splits.values())) > 600
