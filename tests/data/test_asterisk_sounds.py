"""The telephone prompts: on a small folder, as the packages hold them, and for real where they are."""

from __future__ import annotations

import functools
import gzip
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from recipes import ANY_CONTENT, assert_no_leak, pack, package, read_splits, text_keys

from s2s_plugin.corpora.fetching import packages
from s2s_plugin.corpora.recipe import default_cache, load_recipe
from s2s_plugin.corpora.splits import SPLITS
from s2s_plugin.datasets.manifest import read_manifest
from s2s_plugin.errors import UserError

asterisk = load_recipe("asterisk_sounds")
read = functools.partial(read_splits, "asterisk_sounds", "audio")


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


def write_wav(path: Path, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(np.arange(round(8000 * seconds), dtype="<i2").tobytes())


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
    first = read(asterisk.prepare(tmp_path / "a", "audio", "en", from_dir=source, **options))
    items = [item for split in first.values() for item in split]
    assert {item.id: item.texts[0] for item in items if not item.id.startswith("vm-")} == SPOKEN
    assert len(items) == len(SPOKEN) + 60 + 1
    assert {item.speaker for item in items} == {"Allison Smith"}
    assert_no_leak(text_keys(first))
    archive = tmp_path / "archive"  # upstream's has everything in one folder
    shutil.copytree(next((source / "usr/share/asterisk/sounds").iterdir()), archive)
    packed = next(source.rglob("*.txt.gz"))
    (archive / "core-sounds-en.txt").write_bytes(gzip.decompress(packed.read_bytes()))
    second = read(asterisk.prepare(tmp_path / "b", "audio", "en", from_dir=archive, **options))
    assert {split: [(item.id, item.texts) for item in second[split]] for split in SPLITS} == {
        split: [(item.id, item.texts) for item in first[split]] for split in SPLITS
    }
    written = asterisk.prepare(tmp_path / "c", "audio", "en", from_dir=source, lowercase=False, **options)
    as_written = {item.id: item.texts[0] for split in read(written).values() for item in split}
    assert as_written["vm-goodbye"] == "Goodbye!"
    for split, kept in first.items():  # how the text is written moves nothing to another split
        assert {item.id for item in kept} == {item.id for item in read_manifest(written / f"{split}.tsv")[1]}


def test_asterisk_without_apt(home: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = write_prompts(tmp_path / "source", lang="ru")
    recordings = next((source / "usr/share/asterisk/sounds").iterdir())
    next(source.rglob("*.txt.gz")).rename(recordings / "core-sounds-ru.txt.gz")
    pack(recordings, home[0] / "ru.tar.gz", ".")
    monkeypatch.setattr(packages, "has_apt", lambda: False)
    monkeypatch.setattr(asterisk, "URL", f"{home[1]}/{{}}.tar.gz")
    monkeypatch.setattr(asterisk, "EXPECTED", dict.fromkeys(asterisk.EXPECTED, ANY_CONTENT))
    out = asterisk.prepare(tmp_path / "out", "audio", "ru", tmp_path / "cache", valid=0.2, test=0.2)
    assert sum(map(len, read(out).values())) == len(SPOKEN) + 60 + 1
    with pytest.raises(UserError, match=r"it\.tar\.gz: HTTP 404 .*--from FOLDER"):
        asterisk.prepare(tmp_path / "out", "audio", "it", tmp_path / "cache")


@pytest.mark.parametrize(("seconds", "kept"), [(0.0, False), (0.25, False), (0.32, True), (11.9, True), (12.1, False)])
def test_asterisk_leaves_out_what_the_text_does_not_fit(tmp_path: Path, seconds: float, kept: bool):
    source = write_prompts(tmp_path / "source")
    write_wav(next(source.rglob("vm-goodbye.wav")), seconds)  # Goodbye! has 7 letters
    out = asterisk.prepare(tmp_path / "a", "audio", "en", tmp_path, from_dir=source, valid=0.2, test=0.2)
    ids = {item.id for split in read(out).values() for item in split}
    assert ("vm-goodbye" in ids) is kept


def test_asterisk_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture):
    source = write_prompts(tmp_path / "source")
    write_prompts(tmp_path / "source", lang="fr")  # its recordings are in another folder of the same tree
    options = {"src": "audio", "tgt": "en", "cache": tmp_path, "from_dir": source}
    for bad, message in (
        ({"src": "en"}, "supports audio-en, .* got --src en"),
        ({"tgt": "de"}, "audio-en, audio-es, audio-fr, audio-it, audio-ru, got .* --tgt de"),
        ({"max_seconds": 0}, "max_seconds must be a number above 0, got 0"),
        ({"max_seconds": "long"}, "max_seconds must be .* got 'long'"),
        ({"valid": 1.5}, "valid and test must be fractions .* got 1.5"),
        (
            {"from_dir": tmp_path / "none"},
            r"one file core-sounds-en.txt\* below .*none, got 0: .* --from FOLDER",
        ),
        ({}, r"expected one file vm-goodbye.wav below .*source, got 2"),
    ):
        with pytest.raises(UserError, match=message):
            asterisk.prepare(tmp_path / "out", **{**options, **bad})
    broken = write_prompts(tmp_path / "broken")
    next(broken.rglob("screen.wav")).write_bytes(b"RIFF")
    assert asterisk.prepare.main(["--out", str(tmp_path / "out"), "--from", str(broken)]) == 2
    assert "screen.wav: not a wav file" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_asterisk_for_real(tmp_path: Path):
    for name in ("asterisk-core-sounds-en", "asterisk-core-sounds-en-wav"):
        package(name)
    out = asterisk.prepare(tmp_path / "out", "audio", "en", default_cache())
    splits = read(out)
    assert_no_leak(text_keys(splits))
    items = {item.id: item for split in splits.values() for item in split}
    assert 500 < len(items) < 600
    assert items["agent-incorrect"].texts == (SPOKEN["agent-incorrect"],)
    assert soundfile.info(items["agent-incorrect"].path).duration == pytest.approx(5.15, abs=0.01)
    assert not {"beep", "silence/1", "tt-monkeys"} & set(items)
