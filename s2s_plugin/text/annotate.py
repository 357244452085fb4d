"""Factors made from plain text: part of speech, lemma, inflection and case of each word.

The taggers bring their models: HanTa for German and English (Wartena 2019), Kiwi for Korean.
"""

from __future__ import annotations

import functools
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple, Protocol

from s2s_plugin.errors import UserError
from s2s_plugin.text.factors import SEPARATOR

NAMES = ("pos", "lemma", "morph", "case")
HANTA_MODELS = {"de": "morphmodel_ger.pgz", "en": "morphmodel_en.pgz"}
LANGUAGES = (*HANTA_MODELS, "ko")
CACHED_WORDS = 1 << 16
# Words, contractions apart (were n't, he 's), and single signs.
TOKEN = re.compile(r"\w+(?=n['\u2019]t\b)|n['\u2019]t\b|['\u2019]\w+|\w+(?:[-.,]\w+)*|[^\w\s]")
NO_VALUE = "-"

Factors = tuple[tuple[str, ...], ...]  # the values of each word


class Analysis(NamedTuple):
    """What a tagger says about a word."""

    pos: str  # part of speech of its first part with letters
    lemma: str  # of that part
    morph: str  # German and English: its inflectional endings; Korean: the tags of all its morphemes


class Tagger(Protocol):
    """A tagger of one language."""

    def __call__(self, words: Sequence[str]) -> list[Analysis]:
        """Analyze the words of a line, which have their punctuation."""


def check_annotation(names: Sequence[str], language: str) -> None:
    """Load the tagger; raise UserError if a factor is unknown, or none is installed for the language."""
    if unknown := [name for name in names if name not in NAMES]:
        raise UserError(f"factors must be among {', '.join(NAMES)}, got {unknown[0]}")
    if set(names) != {"case"}:
        _tagger(language)


def annotate(text: str, names: tuple[str, ...], language: str) -> Factors:
    """Return the named factors of each word of a line; words are separated by spaces.

    Raises:
        UserError: see :func:`check_annotation`.
    """
    check_annotation(names, language)
    words = text.split()
    if not words:
        return ()
    columns: dict[str, Iterable[str]] = {"case": map(case, words)}
    if set(names) != {"case"}:
        columns |= dict(zip(Analysis._fields, zip(*_tagger(language)(words), strict=True), strict=True))
    return tuple(zip(*(map(_value, columns[name]) for name in names), strict=True))


def annotate_line(text: str, names: tuple[str, ...], language: str) -> str:
    """Return a line as ``word|value|value word|value|value``."""
    rows = zip(text.split(), annotate(text, names, language), strict=True)
    return " ".join(SEPARATOR.join((word, *values)) for word, values in rows)


def case(word: str) -> str:
    """Return how a word is capitalized: lower, title, upper, mixed, or none without such letters."""
    letters = "".join(filter(str.isalpha, word))
    if letters.upper() == letters.lower():
        return "none"
    if letters.islower():
        return "lower"
    if letters[0].isupper() and letters[1:] in ("", letters[1:].lower()):
        return "title"
    return "upper" if letters.isupper() else "mixed"


def _value(text: str) -> str:
    return "".join(text.split()).replace(SEPARATOR, "/") or NO_VALUE


@functools.cache
def _tagger(language: str) -> Tagger:
    if language not in LANGUAGES:
        rule = f"pos, lemma and morph require a text in {', '.join(LANGUAGES)}, got {language}"
        raise UserError(f"{rule}; name the language, data.source_lang=de, or annotate it with a tagger of your own")
    try:
        return KiwiTagger() if language == "ko" else HantaTagger(HANTA_MODELS[language])
    except ImportError as error:
        raise UserError(f"a tagger is not installed ({error}): pip install 's2s-plugin[structure]'") from None


class HantaTagger:
    """HanTa: a word is tagged by its first token that has letters or digits."""

    def __init__(self, model: str):
        from HanTa.HanoverTagger import HanoverTagger

        self.hanta = HanoverTagger(model)
        cached = functools.lru_cache(CACHED_WORDS)
        self.hanta.analyze_forward = cached(self.hanta.analyze_forward)  # takes most of its time
        self.analyze = cached(self._analyze)

    def __call__(self, words: Sequence[str]) -> list[Analysis]:
        tokens = [TOKEN.findall(word) or [word] for word in words]
        tags = iter(self.hanta.tag_sent([token for each in tokens for token in each], taglevel=0))
        analyses = []
        for each in tokens:
            tagged = [(token, next(tags)) for token in each]
            main = next((pair for pair in tagged if pair[0][0].isalnum()), tagged[0])
            analyses.append(self.analyze(*main))
        return analyses

    def _analyze(self, token: str, pos: str) -> Analysis:
        lemma, _ = self.hanta.analyze(token, pos, taglevel=1)
        _, morphemes, _ = self.hanta.analyze(token, pos, taglevel=3)
        return Analysis(pos, lemma, "+".join(form for form, tag in morphemes if tag.startswith("SUF_")))


class KiwiTagger:
    """Kiwi: a word has several morphemes, of which the first that is no sign has its part of speech and lemma."""

    def __init__(self) -> None:
        from kiwipiepy import Kiwi

        self.kiwi = Kiwi(num_workers=1)

    def __call__(self, words: Sequence[str]) -> list[Analysis]:
        starts = list(accumulate((len(word) + 1 for word in words[:-1]), initial=0))
        morphemes: list[list] = [[] for _ in words]
        for token in self.kiwi.tokenize(" ".join(words)):
            morphemes[bisect_right(starts, token.start) - 1].append(token)
        return [self._analysis(each) for each in morphemes]

    def _analysis(self, morphemes: Sequence) -> Analysis:
        if not morphemes:  # a morpheme may extend over a space
            return Analysis("", "", "")
        main = next((each for each in morphemes if each.form[0].isalnum()), morphemes[0])
        return Analysis(main.tag, main.lemma, "+".join(each.tag for each in morphemes))
