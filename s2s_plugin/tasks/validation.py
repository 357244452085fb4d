"""Metrics in the loop: what each batch of the validation set adds, and the metric from the sums.

Batches may be spread over processes, so only integers travel: sums of them make the corpus's metric.
"""

from __future__ import annotations

from collections.abc import Sequence

from fairseq.scoring import build_scorer
from omegaconf import DictConfig
from sacrebleu.metrics import BLEU

Pairs = Sequence[tuple[str, str]]  # hypothesis, reference


class BleuInLoop:
    """sacrebleu's BLEU, in percent."""

    higher_is_better = True

    def __init__(self, tokenizer: str = "13a"):
        self.bleu = BLEU(tokenize=tokenizer)

    def statistics(self, pairs: Pairs) -> list[int]:
        result = self.bleu.corpus_score([pair[0] for pair in pairs], [[pair[1] for pair in pairs]])
        return [int(value) for value in (result.sys_len, result.ref_len, *result.counts, *result.totals)]

    def value(self, sums: Sequence[int]) -> float:
        result = BLEU.compute_bleu(list(sums[2:6]), list(sums[6:]), sums[0], sums[1], smooth_method="exp")
        return result.score


class ErrorRateInLoop:
    """Word or character errors in percent of the reference's words or characters."""

    higher_is_better = False

    def __init__(self, scorer: str):
        self.scorer = scorer

    def statistics(self, pairs: Pairs) -> list[int]:
        scorer = build_scorer(self.scorer, None)
        for hypothesis, reference in pairs:
            scorer.add_string(reference, hypothesis)
        edits = scorer.corpus_edits()
        return [edits.total, edits.length]

    def value(self, sums: Sequence[int]) -> float:
        return 100 * sums[0] / max(sums[1], 1)


class ExactInLoop:
    """Percent of items that are right as a whole."""

    higher_is_better = True

    def statistics(self, pairs: Pairs) -> list[int]:
        scorer = build_scorer("s2s_exact", None)
        for hypothesis, reference in pairs:
            scorer.add_string(reference, hypothesis)
        return [sum(scorer.which_are_right()), len(pairs)]

    def value(self, sums: Sequence[int]) -> float:
        return 100 * sums[0] / max(sums[1], 1)


class RougeInLoop:
    """Mean of the items' ROUGE, in percent; of words in any script, as the tokenizer ``unicode`` finds them."""

    higher_is_better = True

    def __init__(self, scorer: str):
        self.scorer = build_scorer(DictConfig({"_name": scorer, "rouge_tokenizer": "unicode"}), None)

    def statistics(self, pairs: Pairs) -> list[int]:
        total = sum(self.scorer.of_item([reference], hypothesis) for hypothesis, reference in pairs)
        return [round(1_000_000 * total), len(pairs)]

    def value(self, sums: Sequence[int]) -> float:
        return sums[0] / 10_000 / max(sums[1], 1)


def build_metric(name: str, tokenizer: str = "13a") -> BleuInLoop | ErrorRateInLoop | ExactInLoop | RougeInLoop:
    """``name``: one of ``METRICS``; ``tokenizer``: sacrebleu's, for BLEU."""
    if name == "bleu":
        return BleuInLoop(tokenizer)
    if str(name).startswith("rouge"):  # fairseq's choices only equal their names
        return RougeInLoop(f"s2s_{name}")
    return ExactInLoop() if name == "exact" else ErrorRateInLoop(f"s2s_{name}")


METRICS = ("bleu", "rouge1", "rouge2", "rougel", "wer", "cer", "per", "g2p_wer", "exact")
HIGHER_IS_BETTER = ("bleu", "rouge1", "rouge2", "rougel", "exact")
