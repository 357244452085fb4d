"""Word and character error rate by jiwer, and the share of exactly right items: speech, lip reading, G2P."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import metadata
from types import ModuleType
from typing import NamedTuple

import numpy as np
from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from fairseq.scoring import register_scorer

from s2s_plugin.errors import UserError
from s2s_plugin.scoring.base import MeanScorer, Scorer

APOSTROPHES = str.maketrans(dict.fromkeys("’‘‛`´ʼ", "'"))
NOT_IN_WORD = re.compile(r"''+|(?<!\S)'|'(?!\S)")  # apostrophes that do not stand between two letters


def normalize_basic(text: str) -> str:
    """Lower-case words in NFKC, one space apart; punctuation and symbols separate words.

    Letters, marks, digits and an apostrophe inside a word stay, in any script: ``Don’t: 3.5 €`` is ``don't 3 5``.
    Invisible format characters (joiners, soft hyphens) go without a gap.
    """
    text = "".join(c for c in text.translate(APOSTROPHES) if unicodedata.category(c) != "Cf")
    text = unicodedata.normalize("NFKC", text).lower()
    text = unicodedata.normalize("NFKC", text)  # lower case may compose where upper case could not: H̱
    text = "".join(c if c == "'" or unicodedata.category(c)[0] in "LMN" else " " for c in text)
    words = NOT_IN_WORD.sub(" ", text).split()
    return " ".join(word for word in words if any(map(str.isalnum, word)))  # no marks without a letter


def normalize_none(text: str) -> str:
    """Words as they are, one space apart."""
    return " ".join(text.split())


NORMALIZERS: dict[str, Callable[[str], str]] = {"basic": normalize_basic, "none": normalize_none}
Normalizer = ChoiceEnum(list(NORMALIZERS))
NORMALIZER_HELP = "basic: compare lower-case words without punctuation; none: compare words as they are"
EXACT_HELP = "basic: compare lower-case words without punctuation; none: compare to the letter, spaces too"


@dataclass
class ErrorRateConfig(FairseqDataclass):
    wer_normalizer: Normalizer = field(default="basic", metadata={"help": NORMALIZER_HELP})  # type: ignore[valid-type]


@dataclass
class ExactConfig(FairseqDataclass):
    exact_normalizer: Normalizer = field(default="basic", metadata={"help": EXACT_HELP})  # type: ignore[valid-type]


class Edits(NamedTuple):
    """What turns references of ``length`` units into their hypotheses, in the fewest steps."""

    length: int
    substitutions: int
    deletions: int
    insertions: int

    @property
    def total(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Percent of the references' length, which counts as 1 if there is nothing in them (jiwer's convention)."""
        return 100 * self.total / max(self.length, 1)


class ErrorRateScorer(Scorer):
    """Substitutions, deletions and insertions of all items, in percent of the units in their references.

    Of several references of an item counts the one with the fewest edits, among these the longest. A reference
    that is empty after normalisation adds no units, but what the hypothesis has is inserted.

    Raises:
        UserError: jiwer is not installed.
    """

    higher_is_better = False
    unit = ""
    normalizer: str | None = None  # where there is no choice

    def __init__(self, cfg: ErrorRateConfig):
        super().__init__(cfg)
        self.jiwer = import_jiwer()

    def align(self, reference: str, hypothesis: str):
        """jiwer's alignment of two normalised texts."""
        raise NotImplementedError

    def count_edits(self, reference: str, hypothesis: str) -> Edits:
        found = self.align(reference, hypothesis)
        length = found.hits + found.substitutions + found.deletions
        return Edits(length, found.substitutions, found.deletions, found.insertions)

    def item_edits(self) -> list[Edits]:
        """The edits of each item."""
        normalize = NORMALIZERS[self.normalizer or self.cfg.wer_normalizer]
        chosen = []
        for references, hypothesis in zip(self.ref, map(normalize, self.pred), strict=True):
            candidates = [self.count_edits(normalize(reference), hypothesis) for reference in references]
            chosen.append(min(candidates, key=lambda edits: (edits.total, -edits.length)))
        return chosen

    def corpus_edits(self) -> Edits:
        """The edits of all items."""
        return Edits(*map(sum, zip(Edits(0, 0, 0, 0), *self.item_edits(), strict=True)))

    def resampled(self, draws: Iterable[np.ndarray]) -> list[float]:
        edits = np.array(self.item_edits())
        return [Edits(*edits[numbers].sum(0)).rate for numbers in draws]

    def signature(self) -> str:
        version = metadata.version("jiwer")
        return (
            f"{self.label.lower()}|norm:{self.normalizer or self.cfg.wer_normalizer}|unit:{self.unit}"
            f"|tool:jiwer-{version}|refs:{self.references_per_item()}"
        )

    def evaluate(self) -> tuple[float, str]:
        return self.corpus_edits().rate, self.signature()

    def result_string(self) -> str:
        edits = self.corpus_edits()
        counts = f"S = {edits.substitutions} D = {edits.deletions} I = {edits.insertions} ref_len = {edits.length}"
        return f"{self.label} = {edits.rate:.2f} ({counts}) {self.signature()}"


@register_scorer("s2s_wer", dataclass=ErrorRateConfig)
class WordErrorRateScorer(ErrorRateScorer):
    """Words are what stands between spaces."""

    label = "WER"
    unit = "word"

    def align(self, reference: str, hypothesis: str):
        return self.jiwer.process_words(reference, hypothesis)


@register_scorer("s2s_cer", dataclass=ErrorRateConfig)
class CharacterErrorRateScorer(ErrorRateScorer):
    """Characters are code points; the spaces between words count."""

    label = "CER"
    unit = "char"

    def align(self, reference: str, hypothesis: str):
        return self.jiwer.process_characters(reference, hypothesis)


@register_scorer("s2s_per", dataclass=ErrorRateConfig)
class PhoneErrorRateScorer(WordErrorRateScorer):
    """Phones are what stands between spaces; they are compared as they are."""

    label = "PER"
    unit = "phone"
    normalizer = "none"


@register_scorer("s2s_g2p_wer", dataclass=ErrorRateConfig)
class PronunciationErrorRateScorer(PhoneErrorRateScorer):
    """Percent of words whose pronunciation is not right as a whole, which is what G2P calls the word error rate."""

    label = "WER"
    unit = "pronunciation"

    def align(self, reference: str, hypothesis: str):
        return super().align(reference.replace(" ", "_"), hypothesis.replace(" ", "_") or "_")


@register_scorer("s2s_exact", dataclass=ExactConfig)
class ExactScorer(MeanScorer):
    """Percent of items whose hypothesis equals one of the references after normalisation."""

    label = "exact"

    def of_items(self) -> list[float]:
        normalize = str if self.cfg.exact_normalizer == "none" else normalize_basic
        items = zip(self.ref, self.pred, strict=True)
        return [100 * (normalize(hypothesis) in map(normalize, references)) for references, hypothesis in items]

    def signature(self) -> str:
        return f"exact|norm:{self.cfg.exact_normalizer}|refs:{self.references_per_item()}"


def import_jiwer() -> ModuleType:
    """
    Raises:
        UserError: jiwer is not installed.
    """
    try:
        import jiwer
    except ImportError as error:
        raise UserError("WER, CER and PER need jiwer, which is not installed: pip install jiwer==4.0.0") from error
    return jiwer
