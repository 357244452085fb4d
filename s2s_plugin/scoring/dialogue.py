"""Diversity and length of replies, without regard to references."""

from __future__ import annotations

from fairseq.dataclass import FairseqDataclass
from fairseq.scoring import register_scorer

from s2s_plugin.scoring.base import MeanScorer, Scorer, ngrams
from s2s_plugin.text.normalize import strip_case_and_punctuation


class ReplyScorer(Scorer):
    """A metric of hypotheses only, in words without case and punctuation."""

    def words(self) -> list[list[str]]:
        """Split each hypothesis into words."""
        return [strip_case_and_punctuation(text).split() for text in self.pred]

    def signature(self) -> str:
        return f"{self.label.lower()}|unit:word|case:lc|punct:no|refs:{self.references_per_item()}"


class DistinctScorer(ReplyScorer):
    """Distinct n-grams in percent of all n-grams of all hypotheses (Li et al. 2016, section 5.2).

    It decreases with the number of hypotheses: compare systems on the same test set.
    """

    order = 1
    duplicates_bias = True

    def evaluate(self) -> tuple[float, str]:
        grams = [ngram for words in self.words() for ngram in ngrams(words, self.order)]
        return 100 * len(set(grams)) / max(len(grams), 1), self.signature()


@register_scorer("s2s_distinct1", dataclass=FairseqDataclass)
class Distinct1Scorer(DistinctScorer):
    """Distinct words."""

    label = "distinct-1"


@register_scorer("s2s_distinct2", dataclass=FairseqDataclass)
class Distinct2Scorer(DistinctScorer):
    """Distinct pairs of adjacent words."""

    label = "distinct-2"
    order = 2


@register_scorer("s2s_reply_length", dataclass=FairseqDataclass)
class ReplyLengthScorer(ReplyScorer, MeanScorer):
    """Mean number of words; neither long nor short is better."""

    label = "length"
    higher_is_better = None

    def item_scores(self) -> list[float]:
        return [len(words) for words in self.words()]
