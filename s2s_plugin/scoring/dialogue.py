"""Diversity and length of replies, in words without case and punctuation, without regard to references."""

from collections.abc import Iterable

from fairseq.dataclass import FairseqDataclass
from fairseq.scoring import register_scorer

from s2s_plugin.scoring.base import MeanScorer, Scorer, ngrams
from s2s_plugin.text.normalize import strip_case_and_punctuation

SETTINGS = "unit:word|case:lc|punct:no"


def _words(texts: Iterable[str]) -> list[list[str]]:
    return [strip_case_and_punctuation(text).split() for text in texts]


@register_scorer("s2s_distinct1", dataclass=FairseqDataclass)
class Distinct1Scorer(Scorer):
    """Distinct words in percent of all words of all hypotheses (Li et al. 2016, section 5.2).

    It decreases with the number of hypotheses: compare systems on the same test set.
    """

    label = "distinct-1"
    order = 1
    duplicates_bias = True

    def score(self) -> float:
        grams = [ngram for words in _words(self.pred) for ngram in ngrams(words, self.order)]
        return 100 * len(set(grams)) / max(len(grams), 1)

    def settings(self) -> str:
        return f"{self.label}|{SETTINGS}"


@register_scorer("s2s_distinct2", dataclass=FairseqDataclass)
class Distinct2Scorer(Distinct1Scorer):
    """Distinct pairs of adjacent words."""

    label = "distinct-2"
    order = 2


@register_scorer("s2s_reply_length", dataclass=FairseqDataclass)
class ReplyLengthScorer(MeanScorer):
    """Mean number of words; neither long nor short is better."""

    label = "length"
    higher_is_better = None

    def item_scores(self) -> list[float]:
        return list(map(len, _words(self.pred)))

    def settings(self) -> str:
        return f"{self.label}|{SETTINGS}"
