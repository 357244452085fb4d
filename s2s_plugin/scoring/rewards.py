"""Rewards: how good a sentence is beside its reference, from 0 to 1 where they are equal."""

from __future__ import annotations

from collections.abc import Callable

from sacrebleu.metrics import CHRF

from s2s_plugin.scoring.validation import METRICS, BleuInLoop, build_metric

Reward = Callable[[str, str], float]  # of a hypothesis and its reference
# A sentence's BLEU is 0 or a matter of smoothing where it has no right word four times in a row: GLEU stands in for it.
REWARDS = ("chrf", "gleu", *(name for name in METRICS if name != "bleu"))


def build_reward(name: str, tokenizer: str = "13a") -> Reward:
    """A reward by its name in ``REWARDS``; of an error rate what it leaves, max(0, 1 - rate).

    Args:
        tokenizer: sacrebleu's, for GLEU.

    Raises:
        UserError: the reward needs a package that is not installed.
    """
    if name == "chrf":
        chrf = CHRF()
        return lambda hypothesis, reference: chrf.sentence_score(hypothesis, [reference]).score / 100
    if name == "gleu":
        bleu = BleuInLoop(tokenizer)
        return lambda hypothesis, reference: gleu(bleu.statistics([(hypothesis, reference)]))
    metric = build_metric(name)

    def reward(hypothesis: str, reference: str) -> float:
        value = metric.value(metric.statistics([(hypothesis, reference)])) / 100
        return value if metric.higher_is_better else max(0.0, 1 - value)

    reward("", "")
    return reward


def gleu(statistics: list[int]) -> float:
    """The smaller of precision and recall over all n-grams of 1 to 4 words (Wu et al. 2016, section 4.3).

    Args:
        statistics: BLEU's: words of the hypothesis and the reference, matching n-grams of each order, and the
            hypothesis's n-grams of each order.
    """
    _, words, *counts = statistics
    matches, written = sum(counts[:4]), sum(counts[4:])
    wanted = sum(max(words - n, 0) for n in range(4))
    return matches / max(written, wanted, 1)
