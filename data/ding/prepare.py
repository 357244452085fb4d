"""Ding: English and German sentences and phrases from the dictionary of TU Chemnitz (package trans-de-en).

A line of the dictionary is an entry, ``de | de2 :: en | en2``: the parts between ``|`` correspond in order,
each a list of alternatives ``a; b; c`` with annotations: ``{f}`` grammar, ``[coll.]`` register or field,
``(...)`` remarks and optional words, ``<...>`` spellings, ``/HI/`` abbreviations.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from s2s_plugin.corpora.cleaning import Pair, clean_text, has_length, word_count
from s2s_plugin.corpora.fetching.download import Expected, url_file
from s2s_plugin.corpora.fetching.packages import apt_package_or
from s2s_plugin.corpora.recipe import Corpus, Request, find_file, read_text, recipe
from s2s_plugin.corpora.splits import split_by_group
from s2s_plugin.utils.progress import Progress

PACKAGE = "trans-de-en"
URL = "https://ftp.tu-chemnitz.de/pub/Local/urz/ding/de-en/de-en.txt.gz"
EXPECTED = Expected((3_000_000, 40_000_000))  # the package and the file change with each version of the dictionary
FILES = ("usr/share/trans/de-en", "de-en", "de-en.txt", "de-en.txt.gz")  # in --from FOLDER
KINDS = {"sentences": (2, 20), "clean": (3, 12)}  # default minimum and maximum words of a side

REMARK = re.compile(r"\{[^{}]*\}|\([^()]*\)|<[^<>]*>|(?<!\S)/[^/\s](?:[^/|;]*[^/\s|;])?/(?!\S)")
BRACKETS = re.compile(r"\[([^\[\]]*)\]")
OLD = {"alt", "obs.", "veraltet", "veraltend", "archaic", "arch.", "dated", "hist.", "rare", "poet."}
NAMES = {"ornith.", "zool.", "bot.", "chem.", "biochem.", "pharm.", "min.", "geogr.", "lit.", "astron."}
IN_WORD = re.compile(r"\w[(\[]|[)\]]\w")  # "Literatur(wissenschaft)": half words would remain
PLACEHOLDER = re.compile(
    r"(?<!\w)(?:etw|jd|jdm|jdn|jds|jmd|sth|sb|smb|so|o\.s|bzw|usw|etc)\.|(?<!\w)(?:jemandes|someone's)(?!\w)"
)
LEFTOVER = re.compile(r"[(){}\[\]<>|/+~=*#_@^…§°]|\.\.\.|::|--")
SLASH = re.compile(r"(?<![\w/])([\w'’-]+)((?:/[\w'’-]+)+)(?![\w/])")
CONJUGATION = re.compile(r"\b(?:ich|du|er|sie|es|wir|ihr|I|you|he|she|it|we|they)/", re.IGNORECASE)
SENTENCE = re.compile(r"[\"']?[A-ZÄÖÜ0-9].*[.!?][\"']?")
SMALL_WORD = re.compile(
    "der|die|das|den|dem|des|ein|eine|einen|einem|einer|in|im|ins|an|am|ans|auf|aus|bei|beim|mit|nach|von|vom|zu|zum"
    "|zur|um|für|vor|über|unter|durch|gegen|als|wie|und|oder|nicht|sich|wird|ist|the|a|an|of|on|at|to|by|for|from|with"
    "|into|onto|up|out|off|over|under|as|be|is|are|not|and|or|go|get"
)


def sub_entries(line: str) -> Iterator[tuple[str, str]]:
    """Yield the parts of a dictionary line that translate each other, unchanged: ``(german, english)``."""
    german, _, english = line.partition(" :: ")
    yield from zip(german.split(" | "), english.split(" | "), strict=False)


def alternatives(text: str) -> list[str]:
    """Return the alternatives of one part without annotations, outdated words and half words."""
    if IN_WORD.search(text):
        return []
    while (plain := REMARK.sub(" ", text)) != text:  # from the inside out
        text = plain
    current = (part for part in text.split(";") if not OLD.intersection(BRACKETS.findall(part)))
    cleaned = (clean_text(first_of_slash(BRACKETS.sub(" ", part))) for part in current)
    return [re.sub(r" ([,.!?])", r"\1", part) for part in cleaned if part]  # spaces remain where remarks were


def first_of_slash(text: str) -> str:
    """Shorten ``posted the marks/grades`` to ``posted the marks`` if the alternatives are clearly single words."""

    def first(match: re.Match[str]) -> str:
        words = [match[1], *match[2].strip("/").split("/")]
        alike = len({word[0].isupper() for word in words}) == 1
        small = len({bool(SMALL_WORD.fullmatch(word.lower())) for word in words}) == 1
        return words[0] if alike and small else match[0]  # a remaining slash is a leftover, which drops the pair

    return SLASH.sub(first, text)


def is_good(german: str, english: str, kind: str, names: bool) -> bool:
    """Return whether both sides are whole text: a sentence, or (kind ``clean``) a phrase that is not a name."""
    for text in (german, english):
        if LEFTOVER.search(text) or PLACEHOLDER.search(text) or text.count('"') % 2:
            return False
        if text[0] in ",.-" or text[-1] in ",:-":
            return False
    if german.casefold() == english.casefold():
        return False
    sentences = bool(SENTENCE.fullmatch(german)), bool(SENTENCE.fullmatch(english))
    if kind == "sentences" or any(sentences):
        return all(sentences) and (german[-1:] == "?") == (english[-1:] == "?")
    return not names


def read_pairs(lines: Iterable[str], kind: str, min_words: int, max_words: int) -> Iterator[tuple[str, Pair]]:
    """Yield ``(entry line, (german, english))`` for every good pair; alternatives are paired in their order."""
    for line in lines:
        if line.startswith("#") or " :: " not in line:
            continue
        for part in sub_entries(line):
            if min(map(word_count, part)) < min_words or any(map(CONJUGATION.search, part)):
                continue
            names = "Werktitel" in part[0] or bool(NAMES.intersection(BRACKETS.findall(" ".join(part))))
            german, english = map(alternatives, part)
            for number in range(max(len(german), len(english)) if german and english else 0):
                pair = german[min(number, len(german) - 1)], english[min(number, len(english) - 1)]
                if has_length(pair, min_words, max_words, max_ratio=2.5) and is_good(*pair, kind, names):
                    yield line, pair


def find_dictionary(cache: Path, from_dir: Path | None) -> tuple[Path, str]:
    """Return the dictionary and its version: from the user's folder, the Debian package or the URL."""
    if from_dir is not None:
        return find_file(from_dir, FILES, f"expected one of {', '.join(FILES)}"), "from folder"
    found, version = apt_package_or(PACKAGE, cache, EXPECTED, lambda: url_file(URL, cache, EXPECTED))
    return (found, "at the URL") if version is None else (found / FILES[0], f"{PACKAGE} {version}")


@recipe(
    directions=[("en", "de"), ("de", "en")],
    source=URL,
    license="GPL-2.0-or-later",
    help={
        "kind": "whole sentences, or clean sentences and phrases",
        "min_words": "minimum words of a side; None: 2 for sentences, 3 for clean",
        "max_words": "maximum words of a side; None: 20 for sentences, 12 for clean",
    },
    choices={"kind": KINDS},
    fraction_of="entries",
)
def prepare(
    request: Request,
    kind: str = "clean",
    min_words: int | None = None,
    max_words: int | None = None,
    valid: float = 0.02,
    test: float = 0.02,
) -> Corpus:
    """Read the dictionary and split it by entry."""
    min_words = KINDS[kind][0] if min_words is None else min_words
    max_words = KINDS[kind][1] if max_words is None else max_words
    path, version = find_dictionary(request.cache, request.from_dir)
    lines = Progress(read_text(path).split("\n"), "reading entries", unit=" lines")
    items = [
        (line, (english, german) if request.src == "en" else (german, english))
        for line, (german, english) in read_pairs(lines, kind, min_words, max_words)
    ]
    options = {"kind": kind, "min_words": min_words, "max_words": max_words, "valid": valid, "test": test}
    return Corpus(split_by_group(items, valid, test), {"version": version, "options": options})


if __name__ == "__main__":
    sys.exit(prepare.main())
