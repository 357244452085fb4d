"""Gettext catalogs of Debian packages: English texts of games and programs with their translations.

By default the stories of the campaigns of Wesnoth, a game. Any package with ``LC_MESSAGES/*.mo`` files will do. A text
is cut into lines and sentences if the translation has as many.
"""

from __future__ import annotations

import gettext
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from s2s_plugin.corpora.cleaning import SENTENCE_BREAK, Pair, clean_text, has_length, split_alike
from s2s_plugin.corpora.fetching.download import Expected
from s2s_plugin.corpora.fetching.packages import PACKAGE_NOTE, apt_package
from s2s_plugin.corpora.recipe import Corpus, Request, recipe
from s2s_plugin.corpora.splits import split_by_group
from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import read_json

PACKAGES = ",".join(f"wesnoth-1.16-{campaign}" for campaign in ("httt", "trow", "utbs", "nr", "tsg", "ei"))
EXPECTED = Expected((10_000, 200_000_000))  # packages change with each version
CONTEXT = re.compile(r"^[^\s^]*\^")  # Wesnoth's "female^Elvish Archer"
MARKUP = re.compile(r"<[^<>]*>")
MNEMONIC = re.compile(r"[~_&](?=\w)|\(\s*[~_&]\w\s*\)")  # marks a key of a menu: "~Open", "開く(~O)"
CODE = re.compile(r"[%$|{}<>\\=@#*]|&\w+;|://")
LETTER = re.compile(r"[^\W\d_]")


def messages(path: Path) -> Iterator[Pair]:
    """Yield the messages of a catalog and their translations, without contexts; of plural forms the singular."""
    with path.open("rb") as file:
        try:
            catalog = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
        except (OSError, ValueError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: no catalog of gettext ({error})") from None
    for key, text in catalog.items():
        message, number = key if isinstance(key, tuple) else (key, 0)
        if message and number == 0:
            yield CONTEXT.sub("", message.rpartition("\4")[2]), text


def sentences(message: str, text: str) -> list[Pair]:
    """Return a message and its translation in sentences; where their numbers differ in lines, or whole."""
    plain = MNEMONIC.sub("", MARKUP.sub(" ", message)), MNEMONIC.sub("", MARKUP.sub(" ", text))
    pairs: list[Pair] = []
    for one, other in split_alike(plain, str.splitlines):
        pairs += split_alike((clean_text(one), clean_text(other)), SENTENCE_BREAK.split)
    return pairs


def is_good(message: str, text: str) -> bool:
    """Return whether a pair is text, and translated."""
    return (
        message.casefold() != text.casefold()
        and not any(CODE.search(side) or not LETTER.search(side) for side in (message, text))
    )  # fmt: skip


def find_catalogs(lang: str, packages: list[str], request: Request) -> tuple[list[Path], str]:
    """Return the catalogs of a language and the versions of their packages: from the user's folder, or by apt."""
    folders = [request.from_dir] if request.from_dir else [apt_package(n, request.cache, EXPECTED) for n in packages]
    notes = [read_json(folder / PACKAGE_NOTE) for folder in folders]
    found = [path for folder in folders for path in sorted(folder.rglob(f"{lang}/LC_MESSAGES/*.mo"))]
    if not found:
        raise UserError(f"no {lang}/LC_MESSAGES/*.mo in {', '.join(map(str, folders))}")
    return found, ", ".join("from folder" if note is None else note["file"] for note in notes)


@recipe(
    directions=[("en", "de"), ("de", "en"), ("en", "ko"), ("ko", "en")],
    source="https://packages.debian.org/bookworm/",
    license="that of each package; Wesnoth: GPL-2.0-or-later",
    help={
        "packages": "Debian packages with catalogs, separated by commas",
        "min_words": "minimum words of a side",
        "max_words": "maximum words of a side",
    },
    fraction_of="messages",
)
def prepare(
    request: Request,
    packages: str = PACKAGES,
    min_words: int = 3,
    max_words: int = 30,
    valid: float = 0.04,
    test: float = 0.05,
) -> Corpus:
    """Read the catalogs and split them by message."""
    lang = request.tgt if request.src == "en" else request.src
    catalogs, version = find_catalogs(lang, packages.split(","), request)
    items = [
        (message, pair if request.src == "en" else pair[::-1])
        for path in catalogs
        for message, text in messages(path)
        for pair in sentences(message, text)
        if is_good(*pair) and has_length(pair, min_words, max_words, max_ratio=3.0)
    ]
    return Corpus(split_by_group(items, valid, test), {"version": version})


if __name__ == "__main__":
    sys.exit(prepare.main())
