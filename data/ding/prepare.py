"""Ding: English and German sentences and phrases from the dictionary of TU Chemnitz (package trans-de-en).

A line of the dictionary is an entry, ``de | de2 :: en | en2``: the parts between ``|`` stand side by side,
each a list of alternatives ``a; b; c`` with annotations: ``{f}`` grammar, ``[coll.]`` register or field,
``(...)`` remarks and optional words, ``<...>`` spellings, ``/HI/`` abbreviations.
"""

from __future__ import annotations

import gzip
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from s2s_plugin.corpora import packages as fetch
from s2s_plugin.corpora import splits as corpus
from s2s_plugin.errors import UserError
from s2s_plugin.utils.progress import Progress

PACKAGE = "trans-de-en"
URL = "https://ftp.tu-chemnitz.de/pub/Local/urz/ding/de-en/de-en.txt.gz"
FILES = ("usr/share/trans/de-en", "de-en", "de-en.txt", "de-en.txt.gz")  # looked for in --from FOLDER
KINDS = {"sentences": (2, 20), "clean": (3, 12)}  # fewest and most words a side has, unless given

REMARK = re.compile(r"\{[^{}]*\}|\([^()]*\)|<[^<>]*>|(?<!\S)/[^/\s](?:[^/|;]*[^/\s|;])?/(?!\S)")
BRACKETS = re.compile(r"\[([^\[\]]*)\]")
OLD = {"alt", "obs.", "veraltet", "veraltend", "archaic", "arch.", "dated", "hist.", "rare", "poet."}
NAMES = {"ornith.", "zool.", "bot.", "chem.", "biochem.", "pharm.", "min.", "geogr.", "lit.", "astron."}
IN_WORD = re.compile(r"\w[(\[]|[)\]]\w")  # "Literatur(wissenschaft)": half words would be left
PLACEHOLDER = re.compile(
    r"(?<!\w)(?:etw|jd|jdm|jdn|jds|jmd|sth|sb|smb|so|o\.s|bzw|usw|etc)\.|(?<!\w)(?:jemandes|someone's)(?!\w)"
)
LEFTOVER = re.compile(r"[(){}\[\]<>|/+~=*#_@^…§°]|\.\.\.|::|--")
SLASH = re.compile(r"(?<![\w/])([\w'’-]+)((?:/[\w'’-]+)+)(?![\w/])")
CONJUGATION = re.compile(r"\b(?:ich|du|er|sie|es|wir|ihr|I|you|he|she|it|we|they)/", re.IGNORECASE)
SENTENCE = re.compile(r"[\"']?[A-ZÄÖÜ0-9].*[.!?][\"']?")
SMALL_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        der die das den dem des ein eine einen einem einer in im ins an am ans auf aus bei beim
        mit nach von vom zu zum zur um für vor über unter durch gegen als wie und oder nicht
        sich wird ist the a an of on at to by for from with into onto up out off over under as
        be is are not and or go get
        """,
    )
)


def sub_entries(line: str) -> Iterator[tuple[str, str]]:
    """The parts of a dictionary line that translate each other, as they stand: ``(german, english)``."""
    german, _, english = line.partition(" :: ")
    yield from zip(german.split(" | "), english.split(" | "), strict=False)


def alternatives(text: str) -> list[str]:
    """The alternatives of one part without annotations; outdated words and half words are left out."""
    if IN_WORD.search(text):
        return []
    while (plain := REMARK.sub(" ", text)) != text:  # from the inside out
        text = plain
    found = []
    for part in text.split(";"):
        if not OLD.intersection(BRACKETS.findall(part)):
            part = corpus.clean_text(first_of_slash(BRACKETS.sub(" ", part)))
            found.append(re.sub(r" ([,.!?])", r"\1", part))  # where a remark was taken out
    return [part for part in found if part]


def first_of_slash(text: str) -> str:
    """``posted the marks/grades`` -> ``posted the marks``, where clearly single words are exchanged."""

    def first(match: re.Match[str]) -> str:
        words = [match[1], *match[2].strip("/").split("/")]
        alike = len({word[0].isupper() for word in words}) == 1
        small = len({word.lower() in SMALL_WORDS for word in words}) == 1
        return words[0] if alike and small else match[0]  # what stays is a leftover, and drops the pair

    return SLASH.sub(first, text)


def is_good(german: str, english: str, kind: str, names: bool) -> bool:
    """Whether both sides are whole text: a sentence, or (kind ``clean``) a phrase that is no name."""
    for text in (german, english):
        if LEFTOVER.search(text) or PLACEHOLDER.search(text) or text[0] in ",.-" or text[-1] in ",:-":
            return False
        if text.count('"') % 2:
            return False
    if german.casefold() == english.casefold():
        return False
    sentences = bool(SENTENCE.fullmatch(german)), bool(SENTENCE.fullmatch(english))
    if kind == "sentences" or any(sentences):
        return all(sentences) and (german[-1:] == "?") == (english[-1:] == "?")
    return not names


def read_pairs(lines: Iterable[str], kind: str, min_words: int, max_words: int) -> Iterator[tuple[str, corpus.Pair]]:
    """``(entry line, (german, english))`` for every good pair; alternatives are paired in their order."""
    for line in lines:
        line = line.rstrip("\n")
        if line.startswith("#") or " :: " not in line:
            continue
        for part in sub_entries(line):
            if min(map(corpus.word_count, part)) < min_words or any(map(CONJUGATION.search, part)):
                continue
            names = "Werktitel" in part[0] or bool(NAMES.intersection(BRACKETS.findall(" ".join(part))))
            german, english = map(alternatives, part)
            for number in range(max(len(german), len(english)) if german and english else 0):
                pair = german[min(number, len(german) - 1)], english[min(number, len(english) - 1)]
                if corpus.right_length(pair, min_words, max_words, max_ratio=2.5) and is_good(*pair, kind, names):
                    yield line, pair


def find_dictionary(cache: Path, from_dir: Path | None) -> tuple[Path, str]:
    """The dictionary and its version: from the user's folder, the Debian package, or the public URL."""
    if from_dir is not None:
        path = next((from_dir / name for name in FILES if (from_dir / name).is_file()), None)
        if path is None:
            raise UserError(f"no dictionary in {from_dir}: expected one of {', '.join(FILES)}")
        return path, "from folder"
    ways = {PACKAGE: lambda: fetch.apt_package(PACKAGE, cache)} if fetch.has_apt() else {}
    found = fetch.first_that_works({**ways, "URL": lambda: fetch.url_file(URL, cache)})
    if found.is_file():
        return found, "at the URL"
    return found / FILES[0], f"{PACKAGE} {fetch.package_version(found)}"


def prepare(
    out: Path,
    src: str,
    tgt: str,
    cache: Path,
    from_dir: Path | None = None,
    kind: str = "clean",
    min_words: int | None = None,
    max_words: int | None = None,
    valid: float = 0.02,
    test: float = 0.02,
) -> Path:
    """Write the corpus to ``out`` and return it.

    ``kind``: see ``KINDS``; ``min_words``, ``max_words``: of a side; ``valid``, ``test``: share of entries.

    Raises:
        UserError: an option is wrong, or the dictionary cannot be had.
    """
    if {src, tgt} != {"de", "en"}:
        raise UserError(f"the dictionary is for de and en, got --src {src} --tgt {tgt}")
    if kind not in KINDS:
        raise UserError(f"unknown kind {kind!r}: choose {' or '.join(KINDS)}")
    fewest = KINDS[kind][0] if min_words is None else min_words
    most = KINDS[kind][1] if max_words is None else max_words
    path, version = find_dictionary(Path(cache), from_dir and Path(from_dir))
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        lines = Progress(file, "reading entries", unit=" lines")
        found = [
            (line, (english, german) if src == "en" else (german, english))
            for line, (german, english) in read_pairs(lines, kind, fewest, most)
        ]
    meta = {
        "name": "ding",
        "source": URL,
        "version": version,
        "licence": "GPL-2.0-or-later",
        "options": {"kind": kind, "min_words": fewest, "max_words": most, "valid": valid, "test": test},
    }
    return corpus.write_corpus(out, corpus.split_by_group(found, valid, test), (src, tgt), meta)


def main(argv: Sequence[str] | None = None) -> int:
    parser = corpus.recipe_parser(__doc__, src="en", tgt="de")
    parser.add_argument("--kind", choices=tuple(KINDS), default="clean", help="default: %(default)s")
    parser.add_argument("--min-words", type=int, help="fewest words of a side (default: 2 sentences, 3 clean)")
    parser.add_argument("--max-words", type=int, help="most words of a side (default: 20 sentences, 12 clean)")
    corpus.add_shares(parser, "entries", valid=0.02, test=0.02)
    return corpus.run_recipe(prepare, parser, argv)


if __name__ == "__main__":
    sys.exit(main())
