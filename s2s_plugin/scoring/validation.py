"""Validation metrics: what each batch of the validation set adds, and the metric from the sums.

Batches may be spread over processes, which exchange integers only: their sums determine the corpus's metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fairseq.scoring import build_scorer
from omegaconf import DictConfig
from sacrebleu.metrics import BLEU

from s2s_plugin.scoring.base import MeanScorer
from s2s_plugin.scoring.translation import build_bleu

Pairs = Sequence[tuple[str, str]]  # hypothesis, reference


class Metric(Protocol):
    """A metric of a corpus from sums over its parts; validation and rewards use it."""

    higher_is_better: bool

    def statistics(self, pairs: Pairs) -> list[int]:
        """Return what these pairs add to the sums."""

    def value(self, sums: Sequence[int]) -> float:
        """Return the metric in percent."""


class CorpusBleu:
    """sacrebleu's BLEU."""

    higher_is_better = True

    def __init__(self, tokenizer: str = "13a"):
        self.bleu = build_bleu(tokenizer)

    def statistics(self, pairs: Pairs) -> list[int]:
        result = self.bleu.corpus_score([pair[0] for pair in pairs], [[pair[1] for pair in pairs]])
        return [int(value) for value in (result.sys_len, result.ref_len, *result.counts, *result.totals)]

    def value(self, sums: Sequence[int]) -> float:
        result = BLEU.compute_bleu(list(sums[2:6]), list(sums[6:]), sums[0], sums[1], smooth_method="exp")
        return result.score


class CorpusErrorRate:
    """Word, character, phone or pronunciation error rate."""

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


class MeanScore:
    """Mean of the items' scores; their sum is exchanged in ten-thousandths of a percent.

    ROUGE counts words of any script, by its tokenizer ``unicode``.
    """

    higher_is_better = True

    def __init__(self, scorer: str):
        cfg = DictConfig({"_name": scorer})
        if scorer.startswith("s2s_rouge"):
            cfg.rouge_tokenizer = "unicode"
        self.scorer: MeanScorer = build_scorer(cfg, None)

    def statistics(self, pairs: Pairs) -> list[int]:
        scorer = self.scorer.with_items([[reference] for _, reference in pairs], [text for text, _ in pairs])
        return [round(10_000 * sum(scorer.item_scores())), len(pairs)]

    def value(self, sums: Sequence[int]) -> float:
        return sums[0] / 10_000 / max(sums[1], 1)


METRICS: dict[str, type[CorpusBleu] | type[CorpusErrorRate] | type[MeanScore]] = {
    "bleu": CorpusBleu,
    **dict.fromkeys(("rouge1", "rouge2", "rougel"), MeanScore),
    **dict.fromkeys(("wer", "cer", "per", "g2p_wer"), CorpusErrorRate),
    "exact": MeanScore,
}
HIGHER_IS_BETTER = tuple(name for name, kind in METRICS.items() if kind.higher_is_better)


def build_metric(name: str, tokenizer: str = "13a") -> Metric:
    """Build a metric of ``METRICS``; ``tokenizer`` is sacrebleu's, for BLEU."""
    kind = METRICS[str(name)]  # fairseq's choices only equal their names
    return kind(tokenizer if kind is CorpusBleu else f"s2s_{name}")
