"""Tux Paint: the stamps of a drawing program for children, pictures with a description in many languages.

Beside ``NAME.png`` lies ``NAME.txt``: the English description on the first line, then ``de.utf8=...`` for each
language. ``NAME_desc_fr.ogg`` (English: ``NAME_desc.ogg``) is someone reading the description.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from s2s_plugin.corpora import packages as fetch
from s2s_plugin.corpora import splits as corpus
from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import file_sha256

PACKAGE = "tuxpaint-stamps-default"
VERSION = "2022.06.04"
SOURCE = "https://sourceforge.net/projects/tuxpaint"
URL = (
    "https://downloads.sourceforge.net/project/tuxpaint/tuxpaint-stamps/"
    f"{VERSION.replace('.', '-')}/tuxpaint-stamps-{VERSION}.tar.gz"
)
SHA256 = "842065576fae554358e00e51d71a492616a6490b12b592228067477c287a0bf8"
SPOKEN = ("be", "bg", "ca", "da", "el", "en", "es", "fr", "nl", "ro", "ru")  # with 60 recordings and more
SOME_FOLDER = "animals"  # of the stamps


def read_descriptions(text: str) -> dict[str, str]:
    """The description in each language, as it is written."""
    english, *others = text.splitlines() or [""]
    descriptions = {"en": english}
    for line in others:
        lang, equals, description = line.partition(".utf8=")
        if equals:
            descriptions[lang.strip()] = description
    return {lang: corpus.clean_text(written) for lang, written in descriptions.items() if corpus.LETTER.search(written)}


def seconds_of(path: Path) -> float:
    """Length of a recording, from its header."""
    try:
        import soundfile
    except ImportError:
        raise UserError("recordings need the package soundfile: pip install 's2s-plugin[audio]'") from None
    try:
        return soundfile.info(path).duration
    except soundfile.LibsndfileError as error:
        raise UserError(f"{path}: not a sound file ({error.error_string}); fetch it again") from None


def find_items(stamps: Path, modality: str, lang: str) -> Iterator[Item]:
    """The pictures or recordings with their description, by path.

    Recordings too short for the description are left out, and a file that several stamps share comes once.
    """
    ending = ".png" if modality == "image" else "_desc.ogg" if lang == "en" else f"_desc_{lang}.ogg"
    seen = set()
    for file in sorted(stamps.rglob("*.txt")):
        path = file.with_name(file.stem + ending)
        text = read_descriptions(file.read_text(encoding="utf-8-sig")).get(lang)
        if text is None or not path.is_file():
            continue
        if modality == "audio" and not corpus.can_be_said(text, seconds_of(path)):
            continue
        digest = file_sha256(path)
        if digest not in seen:
            seen.add(digest)
            yield Item(file.relative_to(stamps).with_suffix("").as_posix(), path, (text,))


def find_stamps(cache: Path, from_dir: Path | None) -> tuple[Path, str]:
    """The absolute folder of the stamps and their version: the user's, the Debian package's or the archive's."""
    if from_dir is not None:
        found, version = from_dir, "from folder"
    else:
        ways = {PACKAGE: lambda: fetch.apt_package(PACKAGE, cache)} if fetch.has_apt() else {}
        found = fetch.first_that_works({**ways, "URL": lambda: fetch.url_archive(URL, cache, SHA256)})
        is_package = (found / fetch.PACKAGE_NOTE).is_file()
        version = f"{PACKAGE} {fetch.package_version(found)}" if is_package else VERSION
    places = (found, *sorted(found.rglob("stamps")))
    stamps = next((place for place in places if (place / SOME_FOLDER).is_dir()), None)
    if stamps is None:
        raise UserError(f"no stamps in {found}: name with --from FOLDER the unpacked package {PACKAGE}")
    return stamps.resolve(), version


def prepare(
    out: Path,
    src: str,
    tgt: str,
    cache: Path,
    from_dir: Path | None = None,
    valid: float = 0.08,
    test: float = 0.08,
) -> Path:
    """Write the manifests to ``out`` and return it; pictures and recordings stay where they are.

    ``valid``, ``test``: share of descriptions.

    Raises:
        UserError: an option is wrong, or the stamps cannot be had.
    """
    if src not in ("audio", "image"):
        raise UserError(f"tuxpaint is for --src audio or image, got --src {src}")
    if src == "audio" and tgt not in SPOKEN:
        raise UserError(f"tuxpaint has recordings for --tgt {', '.join(SPOKEN)}, got --tgt {tgt}")
    corpus.check_shares(valid, test, both_needed=True)
    stamps, version = find_stamps(Path(cache), from_dir and Path(from_dir))
    splits: dict[str, list[Item]] = {name: [] for name in corpus.SPLITS}
    for item in find_items(stamps, src, tgt):
        splits[corpus.split_name(corpus.match_key(item.texts[0]), valid, test)].append(item)
    if not any(splits.values()):
        raise UserError(f"no {src} in {stamps} has a description in --tgt {tgt}; choose a language of its .txt files")
    meta = {
        "name": "tuxpaint",
        "source": SOURCE,
        "version": version,
        "licence": "GPL-2.0",
        "languages": [src, tgt],
        "options": {"valid": valid, "test": test},
    }
    return corpus.write_manifests(out, src, splits, meta)


def main(argv: Sequence[str] | None = None) -> int:
    parser = corpus.recipe_parser(__doc__, src="image", tgt="en")
    corpus.add_shares(parser, "descriptions", valid=0.08, test=0.08)
    return corpus.run_recipe(prepare, parser, argv)


if __name__ == "__main__":
    sys.exit(main())
