"""Metrics of the validation set, whose batches may be spread over processes that exchange integer sums only."""

from collections.abc import Sequence

from fairseq.scoring import SCORER_REGISTRY, build_scorer
from omegaconf import DictConfig

from s2s_plugin.scoring import recognition, rouge, translation  # noqa: F401  (registers the scorers)
from s2s_plugin.scoring.base import AdditiveScorer
from s2s_plugin.scoring.tokenizers import AUTO

METRICS = ("bleu", "rouge1", "rouge2", "rougel", "wer", "cer", "per", "g2p_wer", "exact")
HIGHER_IS_BETTER = tuple(name for name in METRICS if SCORER_REGISTRY[f"s2s_{name}"].higher_is_better)


class Metric:
    """One of ``METRICS``, of a corpus from sums over its parts; validation and rewards use it.

    ROUGE counts words of any script, by its tokenizer ``unicode``; ``tokenizer`` is sacrebleu's, for BLEU.
    """

    def __init__(self, name: str, tokenizer: str = AUTO):
        cfg = DictConfig({"_name": f"s2s_{name}"})
        if name == "bleu":
            cfg.sacrebleu_tokenizer = tokenizer
        if name.startswith("rouge"):
            cfg.rouge_tokenizer = "unicode"
        self.scorer: AdditiveScorer = build_scorer(cfg, None)

    def statistics(self, pairs: Sequence[tuple[str, str | list[str]]]) -> list[int]:
        """Return what these pairs of a hypothesis and its reference, or several, add to the sums."""
        references = [[each] if isinstance(each, str) else each for _, each in pairs]
        return self.scorer.with_items(references, [text for text, _ in pairs]).sums()

    def value(self, sums: Sequence[int]) -> float:
        """Return the metric in percent."""
        return self.scorer.with_items([], []).score_of(sums)  # whose tokenizer may follow from its items
