"""Rewards: similarity of a sentence to its reference, from 0 to 1, for minimum-risk training and MBR decoding."""

from collections.abc import Callable

from sacrebleu.metrics import CHRF

from s2s_plugin.scoring.tokenizers import AUTO
from s2s_plugin.scoring.validation import METRICS, Metric

Reward = Callable[[str, str], float]  # of a hypothesis and its reference
# GLEU replaces BLEU, which is 0 for a sentence without a common 4-gram, or an artifact of smoothing.
REWARDS = ("chrf", "gleu", *(name for name in METRICS if name != "bleu"))


def build_reward(name: str, tokenizer: str = AUTO) -> Reward:
    """Build one of ``REWARDS``; that of an error rate is max(0, 1 - rate). ``tokenizer``: sacrebleu's, for GLEU."""
    if name == "chrf":
        chrf = CHRF()
        return lambda hypothesis, reference: chrf.sentence_score(hypothesis, [reference]).score / 100
    metric = Metric("bleu" if name == "gleu" else name, tokenizer)

    def reward(hypothesis: str, reference: str) -> float:
        statistics = metric.statistics([(hypothesis, reference)])
        if name == "gleu":
            return gleu(statistics)
        value = metric.value(statistics) / 100
        return value if metric.scorer.higher_is_better else max(0.0, 1 - value)

    return reward


def gleu(statistics: list[int]) -> float:
    """Return the minimum of precision and recall over all n-grams of 1 to 4 words (Wu et al. 2016, section 4.3).

    ``statistics`` are BLEU's: lengths of the hypothesis and the reference; matching n-grams of each order; n-grams of
    the hypothesis of each order.
    """
    _, length, *counts = statistics
    matches, hypothesis_ngrams = sum(counts[:4]), sum(counts[4:])
    reference_ngrams = sum(max(length - n, 0) for n in range(4))
    return matches / max(hypothesis_ngrams, reference_ngrams, 1)
