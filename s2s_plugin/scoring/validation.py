"""Metrics in the loop: what each batch of the validation set adds, and the metric from the sums.

Batches may be spread over processes, so only integers travel: sums of them make the corpus's metric.
"""

from __future__ import annotations

from collections.abc import Sequence

from fairseq.scoring import build_scorer
from omegaconf import DictConfig
from sacrebleu.metrics import BLEU

from s2s_plugin.scoring.base import MeanScorer
from s2s_plugin.scoring.translation import build_bleu

Pairs = Sequence[tuple[str, str]]  # hypothesis, reference


class BleuInLoop:
    """sacrebleu's BLEU, in percent."""

    higher_is_better = True

    def __init__(self, tokenizer: str = "13a"):
        self.bleu = build_bleu(tokenizer)

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


class MeanInLoop:
    """Mean of the items' own scores, in percent; their sum travels in ten-thousandths of one.

    Words of ROUGE are of any script, as its tokenizer ``unicode`` finds them.
    """

    higher_is_better = True

    def __init__(self, scorer: str):
        cfg = DictConfig({"_name": scorer})
        if scorer.startswith("s2s_rouge"):
            cfg.rouge_tokenizer = "unicode"
        self.scorer: MeanScorer = build_scorer(cfg, None)

    def statistics(self, pairs: Pairs) -> list[int]:
        scorer = self.scorer.of([[reference] for _, reference in pairs], [hypothesis for hypothesis, _ in pairs])
        return [round(10_000 * sum(scorer.of_items())), len(pairs)]

    def value(self, sums: Sequence[int]) -> float:
        return sums[0] / 10_000 / max(sums[1], 1)


METRICS: dict[str, type[BleuInLoop] | type[ErrorRateInLoop] | type[MeanInLoop]] = {
    "bleu": BleuInLoop,
    **dict.fromkeys(("rouge1", "rouge2", "rougel"), MeanInLoop),
    **dict.fromkeys(("wer", "cer", "per", "g2p_wer"), ErrorRateInLoop),
    "exact": MeanInLoop,
}
HIGHER_IS_BETTER = tuple(name for name, kind in METRICS.items() if kind.higher_is_better)


def build_metric(name: str, tokenizer: str = "13a") -> BleuInLoop | ErrorRateInLoop | MeanInLoop:
    """``name``: one of ``METRICS``; ``tokenizer``: sacrebleu's, for BLEU."""
    kind = METRICS[str(name)]  # fairseq's choices only equal their names
    return kind(tokenizer if kind is BleuInLoop else f"s2s_{name}")
