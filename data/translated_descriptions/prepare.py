"""Debian's package descriptions and their translations, made by the Debian Description Translation Project.

A description is a synopsis and paragraphs; a paragraph is cut into sentences if its translation has as many.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from s2s_plugin.corpora.cleaning import LETTER, SENTENCE_BREAK, Pair, clean_text, has_length, split_alike
from s2s_plugin.corpora.fetching.download import Expected
from s2s_plugin.corpora.fetching.packages import apt_descriptions
from s2s_plugin.corpora.recipe import Corpus, Request, read_text, recipe
from s2s_plugin.corpora.splits import split_by_group
from s2s_plugin.errors import UserError

EXPECTED = Expected((10_000, 200_000_000))  # a list changes, and some languages have few translations
PARAGRAPH = re.compile(r"\n \.(?=\n|$)")
LISTING = re.compile(r"\n {2,}|\n [*-] ")  # lines that stay as they are, and items
STANZA = re.compile(r"Package: \S+\nDescription-md5: (\w+)\nDescription-\w+: (.*)", re.DOTALL)


def read_descriptions(text: str) -> Iterator[tuple[str, list[str]]]:
    """Read a file ``Translation-de``: the digest of the English text, and the synopsis and paragraphs."""
    for stanza in text.split("\n\n"):
        if match := STANZA.match(stanza.strip("\n")):
            digest, description = match.groups()
            synopsis, _, long = description.partition("\n")
            yield digest, [synopsis, *(f"\n{part}" for part in PARAGRAPH.split(long))]


def sentences(original: list[str], translation: list[str]) -> Iterator[Pair]:
    """Yield the sentences of a description and of its translation, if both have as many paragraphs."""
    if len(original) != len(translation):
        return
    for pair in zip(original, translation, strict=True):
        if not any(map(LISTING.search, pair)):
            yield from split_alike((clean_text(pair[0]), clean_text(pair[1])), SENTENCE_BREAK.split)


def find_lists(lang: str, request: Request) -> dict[str, list[Path]]:
    """Return the lists of English and of another language, by language: from the user's folder, or by apt."""
    folder = request.from_dir or apt_descriptions(["en", lang], request.cache, EXPECTED)
    lists = {name: sorted(folder.rglob(f"*Translation-{name}*")) for name in ("en", lang)}
    for name, paths in lists.items():
        if not paths:
            raise UserError(f"no Translation-{name} in {folder}; Debian's mirrors have it in dists/*/main/i18n")
    return lists


def is_good(pair: Pair, max_words: int) -> bool:
    """Return whether a pair is text, and translated."""
    differs = pair[0].casefold() != pair[1].casefold()
    return differs and all(map(LETTER.search, pair)) and has_length(pair, 2, max_words, max_ratio=3.0)


@recipe(
    directions=[("en", "de"), ("de", "en"), ("en", "ko"), ("ko", "en")],
    exhaustive=False,
    source="https://www.debian.org/international/l10n/ddtp",
    license="that of each package's Debian packaging",
    help={"max_words": "maximum words of a side"},
    fraction_of="first paragraphs",
)
def prepare(request: Request, max_words: int = 40, valid: float = 0.03, test: float = 0.03) -> Corpus:
    """Read the lists and split the sentences by the first paragraph of their description."""
    if (request.src == "en") == (request.tgt == "en"):
        raise UserError(f"one side must be en, got --src {request.src} --tgt {request.tgt}")
    lang = request.tgt if request.src == "en" else request.src
    lists = find_lists(lang, request)
    english = {digest: text for path in lists["en"] for digest, text in read_descriptions(read_text(path))}
    items = [
        (
            english[digest][1],
            pair if request.src == "en" else pair[::-1],
        )  # the paragraph that a source's packages share
        for path in lists[lang]
        for digest, text in read_descriptions(read_text(path))
        if digest in english
        for pair in sentences(english[digest], text)
        if is_good(pair, max_words)
    ]
    return Corpus(split_by_group(items, valid, test), {"version": " ".join(path.name for path in lists[lang])})


if __name__ == "__main__":
    sys.exit(prepare.main())
