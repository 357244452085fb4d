"""The recipes of speech: spoken digits on their sample; prompts and stamps on small folders and, if there, for real."""

from __future__ import annotations

import functools
import gzip
import http.server
import importlib.util
import json
import shutil
import tarfile
import threading
import wave
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
from command_line import ROOT, SHARED
from PIL import Image

from s2s_plugin.datasets.manifest import Item, read_manifest
from s2s_plugin.errors import UserError
from s2s_plugin.pipeline import corpus

SPLITS = ("train", "valid", "test")
SAMPLE = SHARED / "fsdd"


def recipe(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"recipe_{name}", ROOT / "data" / name / "prepare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


asterisk, tuxpaint, fsdd = recipe("asterisk_sounds"), recipe("tuxpaint"), recipe("fsdd")


def read(out: Path, name: str, modality: str = "audio") -> dict[str, list[Item]]:
    """The items of each split; the manifest tells their number and where they are from, and every file can be read."""
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["name"] == name
    assert manifest["source"].startswith("https://")
    assert manifest["licence"]
    assert manifest["version"]
    splits = {}
    for split in SPLITS:
        found, splits[split] = read_manifest(out / f"{split}.tsv")
        assert found == modality
        assert len(splits[split]) == manifest["files"][f"{split}.tsv"]["items"]
        for item in splits[split]:
            assert item.path.is_absolute()
            if modality == "audio":
                assert soundfile.info(item.path).frames > 0
            else:
                with Image.open(item.path) as image:
                    image.verify()
    return splits


def texts(splits: dict[str, list[Item]]) -> dict[str, set[str]]:
    return {split: {corpus.match_key(text) for item in items for text in item.texts} for split, items in splits.items()}


def assert_no_leak(train: set, valid: set, test: set) -> None:
    assert train
    assert valid
    assert test
    assert not train & valid
    assert not train & test
    assert not valid & test


def package(name: str) -> Path:
    """The unpacked Debian package in the user's cache; tests do not download it."""
    folder = corpus.default_cache() / "apt" / name
    if not folder.is_dir():
        pytest.skip(f"{name} is not in {folder.parent}: run the recipe once")
    return folder


def write_wav(path: Path, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(np.arange(round(8000 * seconds), dtype="<i2").tobytes())


@pytest.fixture
def home(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and its address on a web server of this machine, in place of the public ones."""
    folder = tmp_path / "home"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def pack(folder: Path, archive: Path, name: str) -> None:
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(folder, name)


# --- Asterisk ---------------------------------------------------------------------------------------------

TRANSCRIPT = """\
agent-incorrect: Login incorrect.  Please enter your agent number followed by the pound key.
; a comment: not spoken

digits/0: cero
digits/0: diez
dir-welcome:
beep: [this is a simple beep tone]
confbridge-join: <beep ascending>
silence/1: (1 second of silence)
letters/dash: dash [-]
letters/space: space [ ]
for: Pour (emphase)
vm-intro: Leave your message. (simple tone sound plays)
confbridge-locked: La conférence est verrouillée, n’appelez pas !
screen: Options: press 1, or 'star'
"""
SPOKEN = {
    "agent-incorrect": "login incorrect please enter your agent number followed by the pound key",
    "digits/0": "cero",
    "letters/dash": "dash",
    "letters/space": "space",
    "confbridge-locked": "la conférence est verrouillée n'appelez pas",
    "screen": "options press 1 or star",
}


def write_prompts(folder: Path, lang: str = "en", count: int = 60) -> Path:
    """The excerpt and ``count`` prompts more, each text in two of them, as the two packages hold them."""
    more = [f"vm-{n}: Mailbox {chr(97 + n // 2 % 26)}{n // 52}." for n in range(count)]
    transcript = TRANSCRIPT + "\n".join([*more, "vm-goodbye: Goodbye!", "no-recording: No recording."]) + "\n"
    path = folder / f"usr/share/doc/asterisk-core-sounds-{lang}/core-sounds-{lang}.txt.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(transcript.encode("utf-8-sig")))  # as the Italian one begins
    for key in asterisk.read_transcripts(transcript.splitlines()):
        if key != "no-recording":
            write_wav(folder / f"usr/share/asterisk/sounds/{lang}_XX_voice/{key}.wav", 4.0)
    return folder


def test_asterisk_transcript():
    found = asterisk.read_transcripts(TRANSCRIPT.splitlines())
    spoken = {key: asterisk.spoken_text(text, lowercase=True) for key, text in found.items()}
    assert {key: text for key, text in spoken.items() if text} == SPOKEN
    assert asterisk.spoken_text(found["screen"], lowercase=False) == "Options: press 1, or 'star'"
    assert asterisk.spoken_text("Дефис. [-]", lowercase=False) == "Дефис."
    assert asterisk.spoken_text("H.323, 28 [-]", lowercase=True) == "h 323 28"
    assert asterisk.spoken_text("... 1", lowercase=True) == ""


def test_asterisk_corpus_does_not_leak_and_is_stable(tmp_path: Path):
    options = {"cache": tmp_path / "cache", "valid": 0.2, "test": 0.2}
    source = write_prompts(tmp_path / "source")
    first = read(asterisk.prepare(tmp_path / "a", "audio", "en", from_dir=source, **options), "asterisk_sounds")
    items = [item for split in first.values() for item in split]
    assert {item.id: item.texts[0] for item in items if not item.id.startswith("vm-")} == SPOKEN
    assert len(items) == len(SPOKEN) + 60 + 1
    assert {item.speaker for item in items} == {"Allison Smith"}
    assert_no_leak(*texts(first).values())
    archive = tmp_path / "archive"  # upstream's has everything in one folder
    shutil.copytree(next((source / "usr/share/asterisk/sounds").iterdir()), archive)
    packed = next(source.rglob("*.txt.gz"))
    (archive / "core-sounds-en.txt").write_bytes(gzip.decompress(packed.read_bytes()))
    second = read(asterisk.prepare(tmp_path / "b", "audio", "en", from_dir=archive, **options), "asterisk_sounds")
    assert {split: [(item.id, item.texts) for item in second[split]] for split in SPLITS} == {
        split: [(item.id, item.texts) for item in first[split]] for split in SPLITS
    }
    written = asterisk.prepare(tmp_path / "c", "audio", "en", from_dir=source, lowercase=False, **options)
    as_written = {item.id: item.texts[0] for split in read(written, "asterisk_sounds").values() for item in split}
    assert as_written["vm-goodbye"] == "Goodbye!"
    for split, kept in first.items():  # how the text is written moves nothing to another split
        assert {item.id for item in kept} == {item.id for item in read_manifest(written / f"{split}.tsv")[1]}


def test_asterisk_without_apt(home: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = write_prompts(tmp_path / "source", lang="ru")
    recordings = next((source / "usr/share/asterisk/sounds").iterdir())
    next(source.rglob("*.txt.gz")).rename(recordings / "core-sounds-ru.txt.gz")
    pack(recordings, home[0] / "ru.tar.gz", ".")
    monkeypatch.setattr(asterisk.fetch, "has_apt", lambda: False)
    monkeypatch.setattr(asterisk, "URL", f"{home[1]}/{{}}.tar.gz")
    out = asterisk.prepare(tmp_path / "out", "audio", "ru", tmp_path / "cache", valid=0.2, test=0.2)
    assert sum(map(len, read(out, "asterisk_sounds").values())) == len(SPOKEN) + 60 + 1
    with pytest.raises(UserError, match=r"it\.tar\.gz: HTTP 404 .*--from FOLDER"):
        asterisk.prepare(tmp_path / "out", "audio", "it", tmp_path / "cache")


@pytest.mark.parametrize(("seconds", "kept"), [(0.0, False), (0.25, False), (0.32, True), (59.0, True), (61.0, False)])
def test_asterisk_leaves_out_what_the_text_does_not_fit(tmp_path: Path, seconds: float, kept: bool):
    source = write_prompts(tmp_path / "source")
    write_wav(next(source.rglob("vm-goodbye.wav")), seconds)  # Goodbye! has 7 letters
    out = asterisk.prepare(tmp_path / "a", "audio", "en", tmp_path, from_dir=source, valid=0.2, test=0.2)
    ids = {item.id for split in read(out, "asterisk_sounds").values() for item in split}
    assert ("vm-goodbye" in ids) is kept


def test_asterisk_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture):
    source = write_prompts(tmp_path / "source")
    write_prompts(tmp_path / "source", lang="fr")  # its recordings are in another folder of the same tree
    options = {"src": "audio", "tgt": "en", "cache": tmp_path, "from_dir": source}
    for bad, message in (
        ({"src": "en"}, "--src audio .* got --src en"),
        ({"tgt": "de"}, "--tgt en, es, fr, it, ru, got .* --tgt de"),
        ({"valid": 1.5}, "valid and test must be fractions .* got 1.5"),
        ({"from_dir": tmp_path / "none"}, r"0 files core-sounds-en.txt\* below .*none.* --from FOLDER"),
        ({}, r"2 files vm-goodbye.wav below .*source, expected one"),
    ):
        with pytest.raises(UserError, match=message):
            asterisk.prepare(tmp_path / "out", **{**options, **bad})
    broken = write_prompts(tmp_path / "broken")
    next(broken.rglob("screen.wav")).write_bytes(b"RIFF")
    assert asterisk.main(["--out", str(tmp_path / "out"), "--from", str(broken)]) == 2
    assert "screen.wav: not a wav file" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_asterisk_for_real(tmp_path: Path):
    for name in ("asterisk-core-sounds-en", "asterisk-core-sounds-en-wav"):
        package(name)
    out = asterisk.prepare(tmp_path / "out", "audio", "en", corpus.default_cache())
    splits = read(out, "asterisk_sounds")
    assert_no_leak(*texts(splits).values())
    items = {item.id: item for split in splits.values() for item in split}
    assert 500 < len(items) < 600
    assert items["agent-incorrect"].texts == (SPOKEN["agent-incorrect"],)
    assert soundfile.info(items["agent-incorrect"].path).duration == pytest.approx(5.15, abs=0.01)
    assert not {"beep", "silence/1", "tt-monkeys"} & set(items)


# --- Tux Paint --------------------------------------------------------------------------------------------

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
    pictures = read(tuxpaint.prepare(tmp_path / "a", "image", "de", **options), "tuxpaint", "image")
    assert_no_leak(*texts(pictures).values())
    assert sum(map(len, pictures.values())) == 40
    assert {item.id: item.texts for split in pictures.values() for item in split}["animals/3"] == ("Ein b0.",)
    assert read(tuxpaint.prepare(tmp_path / "b", "image", "de", **options), "tuxpaint", "image") == pictures
    spoken = read(tuxpaint.prepare(tmp_path / "c", "audio", "fr", **options), "tuxpaint")
    assert_no_leak(*texts(spoken).values())
    ids = {item.id for split in spoken.values() for item in split}
    assert ids == {f"animals/{n}" for n in range(40)} - {"animals/1", "animals/2"}  # the same recording as 0


def test_tuxpaint_without_apt(home: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    archive = home[0] / "stamps.tar.gz"
    pack(write_stamps(tmp_path / "source") / "usr/share/tuxpaint/stamps", archive, "tuxpaint-stamps-1/stamps")
    monkeypatch.setattr(tuxpaint.fetch, "has_apt", lambda: False)
    monkeypatch.setattr(tuxpaint, "URL", f"{home[1]}/{archive.name}")
    options = {"cache": tmp_path / "cache", "valid": 0.2, "test": 0.2}
    with pytest.raises(UserError, match="not the expected file"):
        tuxpaint.prepare(tmp_path / "out", "image", "en", **options)
    monkeypatch.setattr(tuxpaint, "SHA256", tuxpaint.fetch.sha256_of(archive))
    out = tuxpaint.prepare(tmp_path / "out", "image", "en", **options)
    assert sum(map(len, read(out, "tuxpaint", "image").values())) == 40


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
    assert tuxpaint.main(command) == 2
    assert "7_desc_fr.ogg: not a sound file" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_tuxpaint_for_real(tmp_path: Path):
    folder = package("tuxpaint-stamps-default")
    splits = read(tuxpaint.prepare(tmp_path / "a", "image", "ko", tmp_path, from_dir=folder), "tuxpaint", "image")
    assert_no_leak(*texts(splits).values())
    items = {item.id: item for split in splits.values() for item in split}
    assert 700 < len(items) < 950
    assert items["animals/birds/adelaide-rosella"].texts[0]
    splits = read(tuxpaint.prepare(tmp_path / "b", "audio", "es", tmp_path, from_dir=folder), "tuxpaint")
    assert_no_leak(*texts(splits).values())
    assert sum(map(len, splits.values())) > 600


# --- FSDD -------------------------------------------------------------------------------------------------

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """The sample's two takes of each digit and speaker under the numbers 0, 4, 5, 9, 10 and 49."""
    if not SAMPLE.is_dir():
        pytest.skip(f"the sample of FSDD is not at {SAMPLE}")
    folder = tmp_path / "source" / "recordings"
    folder.mkdir(parents=True)
    for path in SAMPLE.glob("*_?.wav"):
        stem, take = path.stem.rsplit("_", 1)
        for number in {"0": (0, 5, 10), "1": (4, 9, 49)}[take]:
            shutil.copyfile(path, folder / f"{stem}_{number}.wav")
    (folder / "readme.wav").write_text("not a recording")
    return folder.parent


def test_fsdd_takes(digits: Path, tmp_path: Path):
    splits = read(fsdd.prepare(tmp_path / "a", "audio", "en", tmp_path, from_dir=digits), "fsdd")
    takes = {split: {item.id.rsplit("_", 1)[1] for item in items} for split, items in splits.items()}
    assert takes == {"train": {"10", "49"}, "valid": {"5", "9"}, "test": {"0", "4"}}
    for items in splits.values():
        assert len(items) == 10 * 6 * 2
        assert {item.id[0]: item.texts for item in items} == {str(n): (word,) for n, word in enumerate(WORDS)}
        assert all(item.speaker == item.id.split("_")[1] for item in items)
    second = fsdd.prepare(tmp_path / "b", "audio", "en", tmp_path, from_dir=digits / "recordings")
    assert read(second, "fsdd") == splits


@pytest.mark.parametrize("test_speakers", ["theo,yweweler", "theo, yweweler", ["theo", "yweweler"]])
def test_fsdd_speakers(digits: Path, tmp_path: Path, test_speakers: str | list[str]):
    options = {"split": "speakers", "test_speakers": test_speakers}
    splits = read(fsdd.prepare(tmp_path / "a", "audio", "en", tmp_path, from_dir=digits, **options), "fsdd")
    assert {item.speaker for item in splits["test"]} == {"theo", "yweweler"}
    assert {item.speaker for item in splits["train"]} == {"george", "jackson", "lucas", "nicolas"}
    assert {item.speaker for item in splits["valid"]} == {"george", "jackson", "lucas", "nicolas"}
    assert {item.id.rsplit("_", 1)[1] for item in splits["valid"]} == {"0", "4"}
    assert [len(splits[split]) for split in SPLITS] == [160, 80, 120]
    assert_no_leak(*({item.path for item in splits[split]} for split in SPLITS))


def test_fsdd_is_fetched_once(digits: Path, home: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    archive = home[0] / "v1.0.10.tar.gz"
    pack(digits, archive, "free-spoken-digit-dataset-1.0.10")
    monkeypatch.setattr(fsdd, "URL", f"{home[1]}/{archive.name}")
    first = read(fsdd.prepare(tmp_path / "a", "audio", "en", tmp_path / "cache"), "fsdd")
    archive.unlink()
    assert read(fsdd.prepare(tmp_path / "b", "audio", "en", tmp_path / "cache"), "fsdd") == first


def test_fsdd_mistakes_are_one_line(digits: Path, tmp_path: Path):
    options = {"src": "audio", "tgt": "en", "cache": tmp_path, "from_dir": digits}
    for bad, message in (
        ({"tgt": "de"}, "--src audio and --tgt en, got --src audio --tgt de"),
        ({"split": "random"}, "unknown split 'random': choose takes or speakers"),
        ({"split": "speakers", "test_speakers": "theo,bob"}, "'theo,bob': choose some of george, .*yweweler"),
        ({"split": "speakers", "test_speakers": ""}, "test_speakers is '': choose some of"),
        ({"from_dir": tmp_path / "none"}, "no recordings below .*none: expected files named DIGIT_SPEAKER_TAKE"),
        ({"from_dir": SAMPLE}, "the train split is empty"),  # its takes 0 and 1 are all in the test set
    ):
        with pytest.raises(UserError, match=message):
            fsdd.prepare(tmp_path / "out", **{**options, **bad})
    assert not (tmp_path / "out").exists()


def test_command_line(digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    command = ["--out", str(tmp_path / "out"), "--from", str(digits), "--split", "speakers"]
    assert fsdd.main([*command, "--test-speakers", "lucas"]) == 0
    assert f"{tmp_path / 'out' / 'test.tsv'}: 60 items" in capsys.readouterr().out
    assert fsdd.main([*command, "--test-speakers", "bob"]) == 2
    assert capsys.readouterr().err.startswith("error: test_speakers is 'bob'")
