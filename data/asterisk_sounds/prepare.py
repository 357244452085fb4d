"""Asterisk: the spoken prompts of a telephone exchange with their texts, each language read by one voice.

A transcript has a line for each recording, ``key: text``; the recording is ``key.wav``. Brackets of any kind hold
what is heard instead of speech (``[ascending tones]``), remarks to the reader (``(emphase)``), words that were
perhaps left out, or the sign that is named (``dash [-]``).
"""

from __future__ import annotations

import argparse
import gzip
import re
import sys
import wave
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from s2s_plugin.corpora import packages as fetch
from s2s_plugin.corpora import splits as corpus
from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError

PACKAGE = "asterisk-core-sounds-{}"  # the transcript; the recordings are in PACKAGE-wav
VERSION = "1.6.1"
SOURCE = "https://downloads.asterisk.org/pub/telephony/sounds/releases"
URL = f"{SOURCE}/asterisk-core-sounds-{{}}-wav-{VERSION}.tar.gz"  # transcript and recordings
VOICES = {  # language: who reads, licence
    "en": ("Allison Smith", "CC-BY-SA-3.0"),
    "es": ("Allison Smith", "CC-BY-SA-3.0"),
    "fr": ("June Wallack", "CC-BY-SA-3.0"),
    "it": ("Carlo Flora", "CC-BY-3.0"),
    "ru": ("ivrvoice.ru", "CC-BY-3.0"),
}
SOME_KEY = "vm-goodbye"  # every language has it: its recording shows where the others are

BRACKETS = re.compile(r"\[[^\]]*\]|\([^)]*\)|<[^>]*>")
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def read_transcripts(lines: Iterable[str]) -> dict[str, str]:
    """The text of each key. Lines with ``;`` are comments; of a key that comes twice the first line counts."""
    texts: dict[str, str] = {}
    for line in lines:
        key, colon, text = line.partition(":")
        if colon and not line.startswith(";"):
            texts.setdefault(key.strip(), text.strip())
    return texts


def spoken_text(text: str, lowercase: bool) -> str:
    """What is said, or nothing where that is not sure: no letters, or letters in brackets.

    ``lowercase``: lower-case words, the only punctuation apostrophes inside of them.
    """
    if any(map(corpus.LETTER.search, BRACKETS.findall(text))):
        return ""
    text = corpus.clean_text(BRACKETS.sub(" ", text))
    if not corpus.LETTER.search(text):
        return ""
    return " ".join(WORD.findall(text.lower())) if lowercase else text


def seconds_of(path: Path) -> float:
    """Length of a wav file, from its header."""
    try:
        with wave.open(str(path)) as sound:
            return sound.getnframes() / sound.getframerate()
    except (OSError, EOFError, wave.Error) as error:
        raise UserError(f"{path}: not a wav file ({error or 'ends too early'}); fetch it again") from None


def find_items(transcript: Path, recordings: Path, speaker: str, lowercase: bool, max_seconds: float) -> Iterator[Item]:
    """The prompts that have a text and a recording that fit each other, in the order of the transcript."""
    with gzip.open(transcript) if transcript.suffix == ".gz" else transcript.open("rb") as file:
        texts = read_transcripts(file.read().decode("utf-8-sig").splitlines())
    for key, written in texts.items():
        path, text = recordings / f"{key}.wav", spoken_text(written, lowercase)
        if text and path.is_file():
            seconds = seconds_of(path)
            if seconds <= max_seconds and corpus.can_be_said(text, seconds):
                yield Item(key, path, (text,), speaker)


def fetch_folders(lang: str, cache: Path) -> tuple[list[Path], str]:
    """Folders with transcript and recordings, and their version: the Debian packages, or the upstream archive."""
    package = PACKAGE.format(lang)
    ways = {package: lambda: fetch.apt_package(f"{package}-wav", cache)} if fetch.has_apt() else {}
    found = fetch.first_that_works({**ways, "URL": lambda: fetch.url_archive(URL.format(lang), cache)})
    if not (found / fetch.PACKAGE_NOTE).is_file():
        return [found], VERSION
    return [fetch.apt_package(package, cache), found], f"{package} {fetch.package_version(found)}"


def find_one(folders: Sequence[Path], pattern: str) -> Path:
    """The one file of that name below the folders, absolute."""
    found = [path for folder in folders for path in folder.rglob(pattern)]
    if len(found) != 1:
        raise UserError(
            f"{len(found)} files {pattern} below {' and '.join(map(str, folders))}, expected one: name with "
            "--from FOLDER what the packages, or the archive, of one language hold"
        )
    return found[0].resolve()


def prepare(
    out: Path,
    src: str,
    tgt: str,
    cache: Path,
    from_dir: Path | None = None,
    lowercase: bool = True,
    max_seconds: float = 12.0,
    valid: float = 0.08,
    test: float = 0.08,
) -> Path:
    """Write the manifests to ``out`` and return it; the recordings stay where they are.

    ``lowercase``: see :func:`spoken_text`; ``max_seconds``: longer recordings, 3 in 100, are left out; ``valid``,
    ``test``: share of texts.

    Raises:
        UserError: an option is wrong, or the recordings cannot be had.
    """
    if src != "audio" or tgt not in VOICES:
        raise UserError(
            f"asterisk_sounds is for --src audio and --tgt {', '.join(VOICES)}, got --src {src} --tgt {tgt}"
        )
    corpus.check_shares(valid, test, both_needed=True)
    if not isinstance(max_seconds, (int, float)) or max_seconds <= 0:
        raise UserError(f"max_seconds must be a number above 0, got {max_seconds!r}")
    folders, version = ([Path(from_dir)], "from folder") if from_dir else fetch_folders(tgt, Path(cache))
    transcript = find_one(folders, f"core-sounds-{tgt}.txt*")
    recordings = find_one(folders, f"{SOME_KEY}.wav").parent
    speaker, licence = VOICES[tgt]
    splits: dict[str, list[Item]] = {name: [] for name in corpus.SPLITS}
    for item in find_items(transcript, recordings, speaker, lowercase, max_seconds):
        splits[corpus.split_name(corpus.match_key(item.texts[0]), valid, test)].append(item)
    meta = {
        "name": "asterisk_sounds",
        "source": SOURCE,
        "version": version,
        "licence": licence,
        "languages": [src, tgt],
        "options": {"lowercase": lowercase, "max_seconds": max_seconds, "valid": valid, "test": test},
    }
    return corpus.write_manifests(out, src, splits, meta)


def main(argv: Sequence[str] | None = None) -> int:
    parser = corpus.recipe_parser(__doc__, src="audio", tgt="en")
    parser.add_argument("--lowercase", action=argparse.BooleanOptionalAction, default=True, help="drop punctuation too")
    parser.add_argument("--max-seconds", type=float, default=12.0, help="of a recording (%(default)s)")
    corpus.add_shares(parser, "texts", valid=0.08, test=0.08)
    return corpus.run_recipe(prepare, parser, argv)


if __name__ == "__main__":
    sys.exit(main())
