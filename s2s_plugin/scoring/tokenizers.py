"""Which tokenizer fits a language: what needs no other package and no download, the same on every machine."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from sacrebleu.metrics import BLEU

AUTO = "auto"  # by the language, or by the script of the references
# Languages that need another of sacrebleu's tokenizers than 13a, which splits at spaces and punctuation: those written
# without spaces, and Korean, whose words carry their inflection. For Japanese and Korean sacrebleu has morphological
# analyzers too (ja-mecab, ko-mecab), in packages of their own.
BY_LANGUAGE = {
    **dict.fromkeys(("zh", "zho", "chi", "cmn", "yue"), "zh"),
    **dict.fromkeys(("ja", "jpn", "ko", "kor"), "char"),
    **dict.fromkeys(("th", "tha", "lo", "lao", "km", "khm", "my", "mya", "bo", "bod", "dz"), "char"),
}
# A character of a script without spaces counts as a word, and so does a run of other letters.
UNITS = re.compile(
    "(?P<han>[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])"
    "|(?P<kana>[\u3040-\u30ff\uff66-\uff9d])"
    "|(?P<unspaced>[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff])"
    "|(?P<hangul>[\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff]+)"
    "|(?P<other>[^\\W\\d_\u0e00-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u318f\u3400-\u9fff\ua960-\ua97f\uac00-\ud7ff"
    "\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003ffff]+)"
)
UNSPACED = re.compile("[\u0e00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
LATIN = re.compile("[A-Za-z\u00c0-\u024f]+")
MIN_KANA = 0.05  # share of kana among kana and Han from which a text is Japanese


def tokenizer_of_language(language: str) -> str:
    """Return sacrebleu's tokenizer for a language code such as ``ko`` or ``zh-TW``; ``auto`` if it does not tell."""
    return BY_LANGUAGE.get(re.split("[-_]", language.lower())[0], AUTO)


def tokenizer_of_texts(texts: Iterable[str]) -> str:
    """Return sacrebleu's tokenizer for the script in which most words of the texts are written."""
    counts = _units(texts)
    asian = counts.total() - counts["other"]
    if 2 * asian <= counts.total():
        return "13a"
    if counts["han"] > asian / 2 and counts["kana"] < MIN_KANA * (counts["kana"] + counts["han"]):
        return "zh"
    return "char"


def is_han_or_kana(texts: Iterable[str]) -> bool:
    """Return whether most words of the texts are Han characters or kana."""
    counts = _units(texts)
    return 2 * (counts["han"] + counts["kana"]) > counts.total()


def is_latin(texts: Iterable[str]) -> bool:
    """Return whether most words of the texts are in Latin letters."""
    counts: Counter[bool] = Counter()
    for text in texts:
        counts.update(LATIN.fullmatch(match[0]) is not None for match in UNITS.finditer(text))
    return counts[True] >= counts[False]


def _units(texts: Iterable[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(str(match.lastgroup) for match in UNITS.finditer(text))
    return counts


@lru_cache
def build_bleu(tokenizer: str, lowercase: bool, order: int) -> BLEU:
    """Build BLEU once for each of its settings."""
    return BLEU(tokenize=tokenizer, lowercase=lowercase, max_ngram_order=order)
