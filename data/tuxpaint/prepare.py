"""Tux Paint: the stamps of a drawing program for children, images with a description in many languages.

Next to ``NAME.png`` is ``NAME.txt``: the English description on the first line, then ``de.utf8=...`` for each
language. ``NAME_desc_fr.ogg`` (English: ``NAME_desc.ogg``) is a recording of the description.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from s2s_plugin.corpora.cleaning import LETTER, clean_text, is_speakable
from s2s_plugin.corpora.fetching.download import Expected, url_archive
from s2s_plugin.corpora.fetching.packages import apt_package_or
from s2s_plugin.corpora.recipe import Corpus, Request, recipe
from s2s_plugin.corpora.splits import collect, split_name
from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError
from s2s_plugin.text.normalize import match_key
from s2s_plugin.utils.io import file_sha256

PACKAGE = "tuxpaint-stamps-default"
VERSION = "2022.06.04"
SOURCE = "https://sourceforge.net/projects/tuxpaint"
URL = (
    "https://downloads.sourceforge.net/project/tuxpaint/tuxpaint-stamps/"
    f"{VERSION.replace('.', '-')}/tuxpaint-stamps-{VERSION}.tar.gz"
)
EXPECTED = Expected((80_000_000, 300_000_000), "842065576fae554358e00e51d71a492616a6490b12b592228067477c287a0bf8")
EXPECTED_PACKAGE = Expected((80_000_000, 300_000_000))  # changes with Debian's releases
SPOKEN = ("be", "bg", "ca", "da", "el", "en", "es", "fr", "nl", "ro", "ru")  # with at least 60 recordings
SOME_FOLDER = "animals"  # below the stamps


def read_descriptions(text: str) -> dict[str, str]:
    """Return the description in each language."""
    english, *others = text.splitlines() or [""]
    descriptions = {"en": english}
    for line in others:
        lang, equals, description = line.partition(".utf8=")
        if equals:
            descriptions[lang.strip()] = description
    return {lang: clean_text(text) for lang, text in descriptions.items() if LETTER.search(text)}


def seconds_of(path: Path) -> float:
    """Return the length of a recording, from its header."""
    try:
        import soundfile
    except ImportError:
        raise UserError("recordings require the package soundfile: pip install 's2s-plugin[audio]'") from None
    try:
        return soundfile.info(path).duration
    except soundfile.LibsndfileError as error:
        raise UserError(f"{path}: not a sound file ({error.error_string}); download it again") from None


def find_items(stamps: Path, modality: str, lang: str) -> Iterator[Item]:
    """Yield the images or recordings with their description, by path.

    Recordings too short for the description are skipped, and a file that several stamps share comes once.
    """
    ending = ".png" if modality == "image" else "_desc.ogg" if lang == "en" else f"_desc_{lang}.ogg"
    seen = set()
    for file in sorted(stamps.rglob("*.txt")):
        path = file.with_name(file.stem + ending)
        text = read_descriptions(file.read_text(encoding="utf-8-sig")).get(lang)
        if text is None or not path.is_file():
            continue
        if modality == "audio" and not is_speakable(text, seconds_of(path)):
            continue
        digest = file_sha256(path)
        if digest not in seen:
            seen.add(digest)
            yield Item(file.relative_to(stamps).with_suffix("").as_posix(), path, (text,))


def find_stamps(cache: Path, from_dir: Path | None) -> tuple[Path, str]:
    """Return the absolute folder of the stamps and their version: the user's, the Debian package's or the archive's."""
    if from_dir is not None:
        found, version = from_dir, "from folder"
    else:
        found, package = apt_package_or(PACKAGE, cache, EXPECTED_PACKAGE, lambda: url_archive(URL, cache, EXPECTED))
        version = VERSION if package is None else f"{PACKAGE} {package}"
    places = (found, *sorted(found.rglob("stamps")))
    stamps = next((place for place in places if (place / SOME_FOLDER).is_dir()), None)
    if stamps is None:
        raise UserError(f"no stamps in {found}: pass the unpacked package {PACKAGE} with --from FOLDER")
    return stamps.resolve(), version


@recipe(
    directions=[("image", "en"), *(("audio", lang) for lang in SPOKEN)],
    exhaustive=False,
    source=SOURCE,
    license="GPL-2.0",
    fraction_of="descriptions",
)
def prepare(request: Request, valid: float = 0.08, test: float = 0.08) -> Corpus:
    """Find the stamps, which stay where they are, and split them by description."""
    src, lang = request.src, request.tgt
    if src not in ("audio", "image"):
        raise UserError(f"tuxpaint supports --src audio or image, got --src {src}")
    if src == "audio" and lang not in SPOKEN:
        raise UserError(f"tuxpaint has recordings for --tgt {', '.join(SPOKEN)}, got --tgt {lang}")
    stamps, version = find_stamps(request.cache, request.from_dir)
    items = find_items(stamps, src, lang)
    splits = collect((split_name(match_key(item.texts[0]), valid, test), item) for item in items)
    if not any(splits.values()):
        raise UserError(f"no {src} in {stamps} has a description in --tgt {lang}; choose a language of its .txt files")
    return Corpus(splits, {"version": version})


if __name__ == "__main__":
    sys.exit(prepare.main())
