"""Word and character error rate by jiwer, and exact match: speech recognition, lip reading, G2P."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import NamedTuple

import jiwer
import numpy as np
from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from fairseq.scoring import register_scorer

from s2s_plugin.scoring.base import AdditiveScorer, MeanScorer
from s2s_plugin.utils.options import option

APOSTROPHES = str.maketrans(dict.fromkeys("’‘‛`´ʼ", "'"))
NOT_IN_WORD = re.compile(r"''+|(?<!\S)'|'(?!\S)")  # apostrophes that are not between two letters


def normalize_basic(text: str) -> str:
    """Return lower-case words in NFKC, separated by one space: ``don't 3 5`` for ``Don’t: 3.5 €``.

    Letters, marks, digits and apostrophes inside words are kept, in any script; format characters are removed.
    """
    text = "".join(c for c in text.translate(APOSTROPHES) if unicodedata.category(c) != "Cf")
    text = unicodedata.normalize("NFKC", text).lower()
    text = unicodedata.normalize("NFKC", text)  # lower case may compose when upper case does not: H̱
    text = "".join(c if c == "'" or unicodedata.category(c)[0] in "LMN" else " " for c in text)
    words = NOT_IN_WORD.sub(" ", text).split()
    return " ".join(word for word in words if any(map(str.isalnum, word)))  # drop marks without a letter


def normalize_none(text: str) -> str:
    """Return the words unchanged, separated by one space."""
    return " ".join(text.split())


NORMALIZERS: dict[str, Callable[[str], str]] = {"basic": normalize_basic, "none": normalize_none}
Normalizer = ChoiceEnum(list(NORMALIZERS))
HELP = "basic: compare lower-case words without punctuation; none: compare "


@dataclass
class ErrorRateConfig(FairseqDataclass):
    """Options of the error rates."""

    wer_normalizer: Normalizer = option("basic", f"{HELP}words unchanged")  # type: ignore[valid-type]


@dataclass
class ExactConfig(FairseqDataclass):
    """Options of exact match."""

    exact_normalizer: Normalizer = option("basic", f"{HELP}every character")  # type: ignore[valid-type]


class Edits(NamedTuple):
    """Minimum edits from references of ``length`` units to their hypotheses."""

    length: int
    substitutions: int
    deletions: int
    insertions: int

    @property
    def total(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Percent of the references' length, or of 1 if they are empty (jiwer's convention)."""
        return 100 * self.total / max(self.length, 1)


class ErrorRateScorer(AdditiveScorer):
    """Substitutions, deletions and insertions of all items, in percent of the units in their references.

    Of several references the one with the fewest edits counts, among these the longest. A reference that is empty
    after normalization adds no units; the hypothesis counts as insertions.
    """

    higher_is_better = False
    unit = ""
    align: Callable = staticmethod(jiwer.process_words)
    fixed_normalizer = ""  # if not configurable

    def __init__(self, cfg: ErrorRateConfig):
        super().__init__(cfg)
        self.normalizer = self.fixed_normalizer or cfg.wer_normalizer

    def count_edits(self, reference: str, hypothesis: str) -> Edits:
        """Align two normalized texts."""
        result = self.align(reference, hypothesis)
        length = result.hits + result.substitutions + result.deletions
        return Edits(length, result.substitutions, result.deletions, result.insertions)

    def item_edits(self) -> list[Edits]:
        """Return the edits of each item."""
        normalize = NORMALIZERS[self.normalizer]
        items = zip(self.ref, map(normalize, self.pred), strict=True)
        candidates = ([self.count_edits(normalize(text), hypothesis) for text in item] for item, hypothesis in items)
        return [min(edits, key=lambda each: (each.total, -each.length)) for edits in candidates]

    def corpus_edits(self) -> Edits:
        """Return the edits of all items."""
        return Edits(*map(sum, zip(Edits(0, 0, 0, 0), *self.item_edits(), strict=True)))

    def score(self) -> float:
        return self.corpus_edits().rate

    def resampled(self, resamples: Iterable[np.ndarray]) -> list[float]:
        edits = np.array(self.item_edits())
        return [self.score_of(edits[sample].sum(0)) for sample in resamples]

    def sums(self) -> list[int]:
        return list(self.corpus_edits())

    def score_of(self, sums: Sequence[int]) -> float:
        return Edits(*sums).rate

    def settings(self) -> str:
        return f"{self.label.lower()}|norm:{self.normalizer}|unit:{self.unit}|tool:jiwer-{metadata.version('jiwer')}"

    def result_string(self) -> str:
        edits = self.corpus_edits()
        counts = f"S = {edits.substitutions} D = {edits.deletions} I = {edits.insertions} ref_len = {edits.length}"
        return f"{self.label} = {edits.rate:.2f} ({counts}) {self.signature()}"


@register_scorer("s2s_wer", dataclass=ErrorRateConfig)
class WordErrorRateScorer(ErrorRateScorer):
    """Error rate of words, separated by spaces."""

    label, unit = "WER", "word"


@register_scorer("s2s_cer", dataclass=ErrorRateConfig)
class CharacterErrorRateScorer(ErrorRateScorer):
    """Error rate of characters (code points), spaces between words included."""

    label, unit = "CER", "char"
    align = staticmethod(jiwer.process_characters)


@register_scorer("s2s_per", dataclass=ErrorRateConfig)
class PhoneErrorRateScorer(ErrorRateScorer):
    """Error rate of phones, separated by spaces and not normalized."""

    label, unit = "PER", "phone"
    fixed_normalizer = "none"


@register_scorer("s2s_g2p_wer", dataclass=ErrorRateConfig)
class PronunciationErrorRateScorer(ErrorRateScorer):
    """Percent of words with a wrong pronunciation, the word error rate of G2P."""

    label, unit = "WER", "pronunciation"
    fixed_normalizer = "none"

    def count_edits(self, reference: str, hypothesis: str) -> Edits:
        return super().count_edits(reference.replace(" ", "_"), hypothesis.replace(" ", "_") or "_")


@register_scorer("s2s_exact", dataclass=ExactConfig)
class ExactScorer(MeanScorer):
    """Percent of items whose hypothesis equals one of the references after normalization."""

    label = "exact"

    def item_scores(self) -> list[float]:
        normalize = str if self.cfg.exact_normalizer == "none" else normalize_basic
        items = zip(self.ref, self.pred, strict=True)
        return [100 * (normalize(hypothesis) in map(normalize, references)) for references, hypothesis in items]

    def settings(self) -> str:
        return f"exact|norm:{self.cfg.exact_normalizer}"
