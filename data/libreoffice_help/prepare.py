"""LibreOffice help: English with German or Korean, sentence by sentence, from its Debian packages.

Texts with the same id (``par_*`` for paragraphs, ``hd_*`` for headings) in the same file are a pair. It is cut into
sentences if both sides have the same number.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from s2s_plugin.corpora.cleaning import Pair, clean_text, has_length
from s2s_plugin.corpora.fetching.archive import unpack
from s2s_plugin.corpora.fetching.download import Expected, url_file
from s2s_plugin.corpora.fetching.packages import apt_package_or
from s2s_plugin.corpora.recipe import Corpus, Request, recipe
from s2s_plugin.corpora.splits import split_by_group
from s2s_plugin.errors import UserError
from s2s_plugin.text.normalize import match_key
from s2s_plugin.utils.io import build_folder
from s2s_plugin.utils.progress import Progress

FOLDERS = {"en": "en-US", "de": "de", "ko": "ko"}  # language -> its name in paths and URLs
PACKAGE = "libreoffice-help-{}"  # filled with the lower-case folder name
PAGES = "usr/share/libreoffice/help"  # of the folders, in the Debian package
URL = (
    "https://downloadarchive.documentfoundation.org/libreoffice/old/7.4.7.2/deb/x86_64/"
    "LibreOffice_7.4.7.2_Linux_x86-64_deb_helppack_{}.tar.gz"
)
EXPECTED = Expected((1_000_000, 40_000_000))  # Debian's packages change, and the help packs have no known checksum

BLOCKS = ("p", "h1", "h2", "h3", "h4", "h5", "h6")
CODE_CLASSES = ("code", "smathcode", "example")  # blocks of program text
CODE = re.compile(  # calls, formulas, markup, file names; in Korean a bracket may follow a word directly
    r"[A-Za-z\d]\((?![\uac00-\ud7a3])|\(\)|[={}<>|\\;_#$^~@*+]|::|//"
    r"|[A-Za-z]\.\w|\w\.[A-Za-z]|\.\.\.|[•…]|\"\""
)
MENU_PATH = re.compile(r"\S [-–▸/] \S")
NUMBER = re.compile(r"\d+")
HANGUL = re.compile(r"[\uac00-\ud7a3]")
LATIN = re.compile(r"[a-z]+")
SENTENCE_BREAK = re.compile(
    r"(?<=[^\W\d_]{2}[.!?])(?<!\b(?:etc|usw|bzw)\.)(?<!\b(?:ca|Nr|vs)\.) (?=[A-ZÄÖÜ\uac00-\ud7a3])"
)
ERROR_CODE = re.compile(r"\d+ (?=[A-Z\uac00-\ud7a3])")


class HelpPage(HTMLParser):
    """Collects ``texts``, element id -> text, of a help page, without program text.

    A text may have variants, hidden spans in a ``switchinline`` span, from which a script chooses: the default is
    taken, and a text that has variants but no default is skipped.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: dict[str, str] = {}
        self._id = ""  # of the open block; "" outside
        self._text: list[str] = []
        self._spans: list[str] = []  # open spans: "shown", "switch", "default", "variant"
        self._variants: list[set[str]] = []  # kinds in each open switch: "default", "variant"
        self._broken = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attrs}
        if tag in BLOCKS:
            self._close()
            is_code = any(kind.startswith(CODE_CLASSES) for kind in found.get("class", "").split())
            if found.get("id", "").startswith(("par_", "hd_")) and not is_code:
                self._id = found["id"]
        elif tag == "span" and self._id:
            self._open_span(found)
        elif tag in ("br", "img") and self._id:
            self._text.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in BLOCKS:
            self._close()
        elif tag == "span" and self._spans and self._spans.pop() == "switch":
            self._broken |= self._variants.pop() == {"variant"}

    def handle_data(self, data: str) -> None:
        if self._id and "variant" not in self._spans:
            self._text.append(data)

    def _open_span(self, found: dict[str, str]) -> None:
        kind = "switch" if found.get("class") == "switchinline" else "shown"
        if "hidden" in found:
            kind = "default" if found.get("id", "").startswith("default") else "variant"
            if self._variants:
                self._variants[-1].add(kind)
        if kind == "switch":
            self._variants.append(set())
        self._spans.append(kind)

    def _close(self) -> None:
        text = clean_text("".join(self._text))
        if self._id and text and not self._broken and not self._spans:
            self.texts[self._id] = text
        self._id, self._text, self._spans, self._variants, self._broken = "", [], [], [], False


def page_texts(path: Path) -> dict[str, str]:
    """Return the text of each element id of one help page."""
    page = HelpPage()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    return page.texts


def sentence_pairs(english: str, other: str) -> list[Pair]:
    """Return a paragraph and its translation as pairs of sentences; as one pair if their numbers differ."""
    if (code := ERROR_CODE.match(english)) and other.startswith(code[0]):
        english, other = english[code.end() :], other[code.end() :]
    sides = SENTENCE_BREAK.split(english), SENTENCE_BREAK.split(other)
    return list(zip(*sides, strict=True)) if len(sides[0]) == len(sides[1]) else [(english, other)]


def is_good(english: str, other: str, lang: str) -> bool:
    """Return whether a pair is text (no program text, no bare menu path) and the other side a translation of it."""
    if not (english and other):
        return False
    for text in (english, other):
        letters = sum(c.isalpha() or c.isspace() for c in text)
        if CODE.search(text) or letters < 0.75 * len(text) or text.count('"') % 2:
            return False
        if (steps := len(MENU_PATH.findall(text))) > 1 or (steps and text[-1] not in ".!?:"):
            return False
    if sorted(NUMBER.findall(english)) != sorted(NUMBER.findall(other)):
        return False  # one side was changed since
    known = set(LATIN.findall(english.casefold()))
    words = LATIN.findall(other.casefold())
    if lang == "ko":  # Latin words must be names, which the English text has too
        latin = sum(map(len, words))
        return len(HANGUL.findall(other)) > latin and all(word in known for word in words)
    return english.casefold() != other.casefold() and 2 * sum(word in known for word in words) <= len(words)


def read_pairs(english: Path, other: Path, lang: str) -> Iterator[tuple[str, Pair]]:
    """Yield ``(file, (english, other))`` for every good pair of the pages below two ``text`` folders."""
    files = [path.relative_to(english) for path in sorted(english.rglob("*.html"))]
    both = [file for file in files if (other / file).is_file()]
    for file in Progress(both, f"reading en-{lang} pages", unit=" pages"):
        texts = page_texts(other / file)
        for name, text in page_texts(english / file).items():
            for pair in sentence_pairs(text, texts.get(name, "")):
                if is_good(*pair, lang):
                    yield file.as_posix(), pair


def drop_numbered_copies(items: list[tuple[str, Pair]]) -> list[tuple[str, Pair]]:
    """Return the first of the pairs that differ in numbers, case or punctuation only."""
    first: dict[tuple[str, ...], tuple[str, Pair]] = {}
    for file, pair in items:
        first.setdefault(tuple(NUMBER.sub("0", match_key(text)) for text in pair), (file, pair))
    return list(first.values())


def find_pages(lang: str, cache: Path, from_dir: Path | None) -> tuple[Path, str]:
    """Return the pages of ``lang`` and their version: from the user's folder, the Debian package or the URL."""
    name = FOLDERS[lang]
    if from_dir is not None:
        for folder in (from_dir / name / "text", from_dir / PAGES / name / "text"):
            if folder.is_dir():
                return folder, "from folder"
        raise UserError(f"no help pages for {lang}: expected {from_dir / name / 'text'}")
    package = PACKAGE.format(name.lower())
    found, version = apt_package_or(package, cache, EXPECTED, lambda: helppack(URL.format(name), cache))
    folders = [path for path in sorted(found.rglob(f"help/{name}/text")) if path.is_dir()]
    if not folders:
        raise UserError(f"no help pages for {lang} in {found}: delete it and run again, or use --from FOLDER")
    return folders[0], "7.4.7.2" if version is None else f"{package} {version}"


def helppack(url: str, cache: Path) -> Path:
    """Return the folder with the content of all .deb files in the help pack at ``url``."""
    archive = url_file(url, cache, EXPECTED)

    def build(partial: Path) -> None:
        unpack(archive, partial / ".pack")
        for deb in sorted((partial / ".pack").rglob("*.deb")):
            unpack(deb, partial)

    return build_folder(archive.with_name(archive.name + ".unpacked"), build)


@recipe(
    directions=[("en", "de"), ("de", "en"), ("en", "ko"), ("ko", "en")],
    source=URL,
    license="MPL-2.0",
    help={"min_words": "minimum words of a side", "max_words": "maximum words of a side"},
    fraction_of="help pages",
)
def prepare(
    request: Request, min_words: int = 3, max_words: int = 25, valid: float = 0.03, test: float = 0.03
) -> Corpus:
    """Pair the sentences of the English and the translated pages, and split them by page."""
    lang = request.tgt if request.src == "en" else request.src
    english, version = find_pages("en", request.cache, request.from_dir)
    other, other_version = find_pages(lang, request.cache, request.from_dir)
    items = [
        (file, pair if request.src == "en" else pair[::-1])
        for file, pair in drop_numbered_copies(list(read_pairs(english, other, lang)))
        if has_length(pair, min_words, max_words, max_ratio=3.0)
    ]
    about = {"source": URL.format(FOLDERS[lang]), "version": f"{version}, {other_version}"}
    return Corpus(split_by_group(items, valid, test), about)


if __name__ == "__main__":
    sys.exit(prepare.main())
