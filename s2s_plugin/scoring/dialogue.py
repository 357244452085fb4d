"""What replies are like, whatever was expected: how varied, how long."""

from __future__ import annotations

from fairseq.dataclass import FairseqDataclass
from fairseq.scoring import register_scorer

from s2s_plugin.scoring.base import MeanScorer, Scorer, ngrams
from s2s_plugin.text.normalize import strip_case_and_punctuation


class ReplyScorer(Scorer):
    """Looks at hypotheses alone. Words are what stands between spaces, in lower case and without punctuation."""

    def words(self) -> list[list[str]]:
        """Of each hypothesis."""
        return [strip_case_and_punctuation(text).split() for text in self.pred]

    def signature(self) -> str:
        return f"{self.label.lower()}|unit:word|case:lc|punct:no|refs:{self.references_per_item()}"


class DistinctScorer(ReplyScorer):
    """Different n-grams in percent of all n-grams of all hypotheses (Li et al. 2016, section 5.2).

    It falls with the number of hypotheses: compare systems on the same test set.
    """

    order = 1
    repeats_count = True

    def evaluate(self) -> tuple[float, str]:
        found = [ngram for words in self.words() for ngram in ngrams(words, self.order)]
        return 100 * len(set(found)) / max(len(found), 1), self.signature()


@register_scorer("s2s_distinct1", dataclass=FairseqDataclass)
class Distinct1Scorer(DistinctScorer):
    label = "distinct-1"


@register_scorer("s2s_distinct2", dataclass=FairseqDataclass)
class Distinct2Scorer(DistinctScorer):
    label = "distinct-2"
    order = 2


@register_scorer("s2s_reply_length", dataclass=FairseqDataclass)
class ReplyLengthScorer(ReplyScorer, MeanScorer):
    """Mean number of words. Neither long nor short is better."""

    label = "length"
    higher_is_better = None

    def of_items(self) -> list[float]:
        return [len(words) for words in self.words()]
