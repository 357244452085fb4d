"""BLEU, chrF and TER by sacrebleu, each with its signature."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np
from fairseq.dataclass import FairseqDataclass
from fairseq.scoring import register_scorer
from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.metrics.base import Metric, Score, Signature

from s2s_plugin.errors import UserError
from s2s_plugin.scoring.base import Scorer


@dataclass
class BleuConfig(FairseqDataclass):
    """Options of BLEU."""

    sacrebleu_tokenizer: str = field(
        default="13a", metadata={"help": "sacrebleu's tokenizer: 13a, intl, char, zh, ja-mecab, ko-mecab, none"}
    )
    sacrebleu_lowercase: bool = field(default=False, metadata={"help": "ignore case"})


def build_bleu(tokenizer: str, **options: Any) -> BLEU:
    """Build sacrebleu's BLEU with this tokenizer.

    Raises:
        UserError: the tokenizer is unknown, or its package or model is missing.
    """
    try:
        return BLEU(tokenize=tokenizer, **options)
    except (KeyError, RuntimeError, OSError) as error:  # unknown; a package is missing; a model cannot be fetched
        why = "unknown" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise UserError(f"scoring.sacrebleu_tokenizer={tokenizer}: {why}; use 13a, intl, char, zh or none") from None


class SacrebleuScorer(Scorer):
    """A metric of sacrebleu; items may have different numbers of references."""

    def metric(self) -> Metric:
        raise NotImplementedError

    def signature(self, metric: Metric) -> Signature:
        """Return the signature of a metric after scoring."""
        return metric.get_signature()

    def streams(self) -> list[Sequence[str]]:
        """Transpose the references: the n-th of all items, None if an item has fewer."""
        return list(zip_longest(*self.ref))

    def corpus_score(self) -> tuple[Score, Signature]:
        metric = self.metric()
        return metric.corpus_score(self.pred, self.streams()), self.signature(metric)

    def resampled(self, resamples: Iterable[np.ndarray]) -> list[float]:
        """Score resamples from the items' statistics, as sacrebleu's own tests do."""
        metric = self.metric()
        statistics = np.array(metric._extract_corpus_statistics(self.pred, self.streams()))
        return [metric._compute_score_from_stats(statistics[sample].sum(0).tolist()).score for sample in resamples]

    def evaluate(self) -> tuple[float, str]:
        result, signature = self.corpus_score()
        return result.score, str(signature)

    def result_string(self) -> str:
        result, signature = self.corpus_score()
        result.name = self.label
        return f"{result} {signature}"


@register_scorer("s2s_bleu", dataclass=BleuConfig)
class BleuScorer(SacrebleuScorer):
    """Brevity penalty times the geometric mean of the n-gram precisions up to ``order`` (Papineni et al. 2002)."""

    label = "BLEU"
    order = 4

    def metric(self) -> BLEU:
        return build_bleu(
            self.cfg.sacrebleu_tokenizer, lowercase=self.cfg.sacrebleu_lowercase, max_ngram_order=self.order
        )


class LowOrderBleuScorer(BleuScorer):
    """BLEU of a lower order, which the signature names; sacrebleu's does not."""

    def signature(self, metric: Metric) -> Signature:
        signature = metric.get_signature()
        signature.update("order", self.order)
        return signature


@register_scorer("s2s_bleu1", dataclass=BleuConfig)
class Bleu1Scorer(LowOrderBleuScorer):
    """BLEU up to order 1."""

    label = "BLEU-1"
    order = 1


@register_scorer("s2s_bleu2", dataclass=BleuConfig)
class Bleu2Scorer(LowOrderBleuScorer):
    """BLEU up to order 2."""

    label = "BLEU-2"
    order = 2


@register_scorer("s2s_bleu3", dataclass=BleuConfig)
class Bleu3Scorer(LowOrderBleuScorer):
    """BLEU up to order 3."""

    label = "BLEU-3"
    order = 3


@register_scorer("s2s_chrf", dataclass=FairseqDataclass)
class ChrfScorer(SacrebleuScorer):
    """F-score of character n-grams (Popović 2015)."""

    label = "chrF2"

    def metric(self) -> CHRF:
        return CHRF()


@register_scorer("s2s_ter", dataclass=FairseqDataclass)
class TerScorer(SacrebleuScorer):
    """Translation edit rate (Snover et al. 2006)."""

    label = "TER"
    higher_is_better = False

    def metric(self) -> TER:
        return TER()
