"""CIDEr-D: consensus of a caption with its references."""

import math
from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from fairseq.dataclass import FairseqDataclass
from fairseq.scoring import register_scorer
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from s2s_plugin.scoring.base import MeanScorer, ngrams

ORDERS = range(1, 5)  # n-grams of 1 to 4 words
SIGMA = 6.0  # of the length penalty, in words

Words = Sequence[str]
Vector = dict[tuple[str, ...], float]  # tf-idf weights of the n-grams of one order


def cider_d(hypotheses: Sequence[Words], references: Sequence[Sequence[Words]]) -> list[float]:
    """Return the CIDEr-D of each item, 0 to 10 (Vedantam et al. 2015; tf is the count, as in the authors' code).

    The idf of an n-gram is the logarithm of the number of items over the number of those with it in a reference. An
    n-gram of all items has weight 0, so a single item scores 0.
    """
    frequency: Counter[tuple[str, ...]] = Counter()
    for item in references:
        frequency.update({ngram for words in item for n in ORDERS for ngram in ngrams(words, n)})

    def weigh(words: Words, n: int) -> Vector:
        counts = Counter(ngrams(words, n))
        return {ngram: tf * math.log(len(references) / max(frequency[ngram], 1)) for ngram, tf in counts.items()}

    def similarity(hypothesis: Words, reference: Words) -> float:
        length_penalty = math.exp(-((len(hypothesis) - len(reference)) ** 2) / (2 * SIGMA**2))
        return length_penalty * fmean(clipped_cosine(weigh(hypothesis, n), weigh(reference, n)) for n in ORDERS)

    items = zip(hypotheses, references, strict=True)
    return [10 * fmean(similarity(hypothesis, reference) for reference in item) for hypothesis, item in items]


def clipped_cosine(hypothesis: Vector, reference: Vector) -> float:
    """Return the cosine with weights clipped to the reference's, so that repeated n-grams gain nothing; 0 for zeros."""
    pairs = ((weight, reference.get(ngram, 0)) for ngram, weight in hypothesis.items())
    product = sum(min(weight, other) * other for weight, other in pairs)
    norms = math.hypot(*hypothesis.values()) * math.hypot(*reference.values())
    return product / norms if norms else 0.0


@register_scorer("s2s_cider", dataclass=FairseqDataclass)
class CiderScorer(MeanScorer):
    """Mean CIDEr-D of the items times 100, as tables print it: 90 is the 0.9 of the authors' code.

    Captions equal to their only reference reach 1,000, good models on COCO 100 to 140. Words are those of sacrebleu's
    13a tokenizer in lower case, punctuation included. idf is over the scored references: scores of different sets are
    not comparable, and a single item scores 0. Resamples keep the idf of all items.
    """

    label = "CIDEr-D"

    def item_scores(self) -> list[float]:
        tokenizer = Tokenizer13a()
        hypotheses = [tokenizer(text.lower()).split() for text in self.pred]
        references = [[tokenizer(text.lower()).split() for text in item] for item in self.ref]
        return [100 * score for score in cider_d(hypotheses, references)]

    def settings(self) -> str:
        return "cider-d|idf:test|case:lc|tok:13a"
