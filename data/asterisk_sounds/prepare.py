"""Asterisk: the spoken prompts of a telephone exchange with their texts, each language read by one voice.

A transcript has a line for each recording, ``key: text``; the recording is ``key.wav``. Brackets of any kind contain
sounds (``[ascending tones]``), remarks to the reader (``(emphase)``), words that may not be spoken, or the character
that is named (``dash [-]``).
"""

from __future__ import annotations

import re
import sys
import wave
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from s2s_plugin.corpora.cleaning import LETTER, clean_text, is_speakable
from s2s_plugin.corpora.fetching.download import Expected, url_archive
from s2s_plugin.corpora.fetching.packages import apt_package, apt_package_or
from s2s_plugin.corpora.recipe import Corpus, Request, read_text, recipe
from s2s_plugin.corpora.splits import collect, split_name
from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError
from s2s_plugin.text.normalize import match_key

PACKAGE = "asterisk-core-sounds-{}"  # the transcript; the recordings are in PACKAGE-wav
VERSION = "1.6.1"
EXPECTED = {  # Debian's packages change with its releases; the archives of the publishers have no known checksum
    "text": Expected((10_000, 200_000)),
    "wav": Expected((8_000_000, 80_000_000)),
}
SOURCE = "https://downloads.asterisk.org/pub/telephony/sounds/releases"
URL = f"{SOURCE}/asterisk-core-sounds-{{}}-wav-{VERSION}.tar.gz"  # transcript and recordings
VOICES = {  # language: who reads, licence
    "en": ("Allison Smith", "CC-BY-SA-3.0"),
    "es": ("Allison Smith", "CC-BY-SA-3.0"),
    "fr": ("June Wallack", "CC-BY-SA-3.0"),
    "it": ("Carlo Flora", "CC-BY-3.0"),
    "ru": ("ivrvoice.ru", "CC-BY-3.0"),
}
SOME_KEY = "vm-goodbye"  # in every language; its recording shows where the others are

BRACKETS = re.compile(r"\[[^\]]*\]|\([^)]*\)|<[^>]*>")
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def read_transcripts(lines: Iterable[str]) -> dict[str, str]:
    """Return the text of each key, the first if it comes twice; lines with ``;`` are comments."""
    texts: dict[str, str] = {}
    for line in lines:
        key, colon, text = line.partition(":")
        if colon and not line.startswith(";"):
            texts.setdefault(key.strip(), text.strip())
    return texts


def spoken_text(text: str, lowercase: bool) -> str:
    """Return the spoken text, or nothing if it is uncertain: no letters, or letters in brackets.

    ``lowercase``: convert to lower case, without punctuation apart from apostrophes in words.
    """
    if any(map(LETTER.search, BRACKETS.findall(text))):
        return ""
    text = clean_text(BRACKETS.sub(" ", text))
    if not LETTER.search(text):
        return ""
    return " ".join(WORD.findall(text.lower())) if lowercase else text


def seconds_of(path: Path) -> float:
    """Return the length of a wav file, from its header."""
    try:
        with wave.open(str(path)) as sound:
            return sound.getnframes() / sound.getframerate()
    except (OSError, EOFError, wave.Error) as error:
        raise UserError(f"{path}: not a wav file ({error or 'ends too early'}); download it again") from None


def find_items(transcript: Path, recordings: Path, speaker: str, lowercase: bool, max_seconds: float) -> Iterator[Item]:
    """Yield the prompts whose text and recording fit each other, in the order of the transcript."""
    for key, written in read_transcripts(read_text(transcript).splitlines()).items():
        path, text = recordings / f"{key}.wav", spoken_text(written, lowercase)
        if text and path.is_file():
            seconds = seconds_of(path)
            if seconds <= max_seconds and is_speakable(text, seconds):
                yield Item(key, path, (text,), speaker)


def fetch_folders(lang: str, cache: Path) -> tuple[list[Path], str]:
    """Return folders with transcript and recordings, and their version: Debian packages, or the upstream archive."""
    package = PACKAGE.format(lang)
    found, version = apt_package_or(
        f"{package}-wav", cache, EXPECTED["wav"], lambda: url_archive(URL.format(lang), cache, EXPECTED["wav"])
    )
    if version is None:
        return [found], VERSION
    return [apt_package(package, cache, EXPECTED["text"]), found], f"{package} {version}"


def find_one(folders: Sequence[Path], pattern: str) -> Path:
    """Return the absolute path of the one file of that name below the folders."""
    found = [path for folder in folders for path in folder.rglob(pattern)]
    if len(found) != 1:
        raise UserError(
            f"expected one file {pattern} below {' and '.join(map(str, folders))}, got {len(found)}: pass the packages "
            "or the archive of one language with --from FOLDER"
        )
    return found[0].resolve()


@recipe(
    directions=[("audio", lang) for lang in VOICES],
    source=SOURCE,
    license="CC-BY-SA-3.0 (en, es, fr), CC-BY-3.0 (it, ru)",
    help={
        "lowercase": "convert texts to lower case, without punctuation",
        "max_seconds": "discard longer recordings",
    },
    fraction_of="texts",
)
def prepare(
    request: Request, lowercase: bool = True, max_seconds: float = 12.0, valid: float = 0.08, test: float = 0.08
) -> Corpus:
    """Find the recordings, which stay where they are, and split them by text."""
    if not isinstance(max_seconds, (int, float)) or max_seconds <= 0:
        raise UserError(f"max_seconds must be a number above 0, got {max_seconds!r}")
    lang, folder = request.tgt, request.from_dir
    folders, version = ([folder], "from folder") if folder else fetch_folders(lang, request.cache)
    transcript = find_one(folders, f"core-sounds-{lang}.txt*")
    recordings = find_one(folders, f"{SOME_KEY}.wav").parent
    speaker, license = VOICES[lang]
    items = find_items(transcript, recordings, speaker, lowercase, max_seconds)
    splits = collect((split_name(match_key(item.texts[0]), valid, test), item) for item in items)
    return Corpus(splits, {"version": version, "license": license})


if __name__ == "__main__":
    sys.exit(prepare.main())
