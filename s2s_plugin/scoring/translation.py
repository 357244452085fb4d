"""BLEU, chrF and TER by sacrebleu, each with its signature."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, zip_longest

import numpy as np
from fairseq.dataclass import FairseqDataclass
from fairseq.scoring import register_scorer
from sacrebleu.metrics import CHRF, TER
from sacrebleu.metrics.base import Metric

from s2s_plugin.errors import UserError
from s2s_plugin.scoring.base import AdditiveScorer
from s2s_plugin.scoring.tokenizers import AUTO, build_bleu, is_han_or_kana, tokenizer_of_texts
from s2s_plugin.utils.options import option


@dataclass
class BleuConfig(FairseqDataclass):
    """Options of BLEU."""

    sacrebleu_tokenizer: str = option(
        AUTO,
        "sacrebleu's tokenizer: 13a, intl, char, zh, ja-mecab, ko-mecab, none; auto: by the target language, or by the "
        "script of the references",
    )
    sacrebleu_lowercase: bool = option(False, "ignore case")


class SacrebleuScorer(AdditiveScorer):
    """A metric of sacrebleu; items may have different numbers of references."""

    metric: Metric

    def streams(self) -> list[Sequence[str]]:
        """Transpose the references: the n-th of all items, None if an item has fewer."""
        return list(zip_longest(*self.ref))

    def score(self) -> float:
        return self.metric.corpus_score(self.pred, self.streams()).score

    def signature(self) -> str:
        """Return sacrebleu's own signature, after scoring."""
        return str(self.metric.get_signature())

    settings = signature

    def result_string(self) -> str:
        result = self.metric.corpus_score(self.pred, self.streams())
        result.name = self.label
        return f"{result} {self.signature()}"

    def statistics(self) -> np.ndarray:
        """Return the statistics of each item that sacrebleu sums; N x statistics."""
        return np.array(self.metric._extract_corpus_statistics(self.pred, self.streams()))

    def resampled(self, resamples: Iterable[np.ndarray]) -> list[float]:
        """Score resamples from the items' statistics, as sacrebleu's own tests do."""
        statistics = self.statistics()
        return [self.score_of(statistics[sample].sum(0).tolist()) for sample in resamples]

    def sums(self) -> list[int]:
        return self.statistics().sum(0).tolist()

    def score_of(self, sums: Sequence[int]) -> float:
        return self.metric._compute_score_from_stats(list(sums)).score


@register_scorer("s2s_bleu", dataclass=BleuConfig)
class BleuScorer(SacrebleuScorer):
    """Brevity penalty times the geometric mean of the n-gram precisions up to ``order`` (Papineni et al. 2002)."""

    label = "BLEU"
    order = 4

    def __init__(self, cfg: BleuConfig):
        super().__init__(cfg)
        if cfg.sacrebleu_tokenizer != AUTO:
            self.metric  # noqa: B018 (refuses an unknown one)

    @cached_property
    def metric(self) -> Metric:  # type: ignore[override]
        """Return sacrebleu's metric.

        Raises:
            UserError: there is no such tokenizer, or it lacks a package.
        """
        tokenizer = self.cfg.sacrebleu_tokenizer
        if tokenizer == AUTO:
            tokenizer = tokenizer_of_texts(chain.from_iterable(self.ref))
        try:
            return build_bleu(tokenizer, self.cfg.sacrebleu_lowercase, self.order)
        except (KeyError, RuntimeError, OSError) as error:  # unknown; a package is missing; a model cannot be fetched
            why = "unknown" if isinstance(error, KeyError) else " ".join(str(error).split())
            raise UserError(
                f"scoring.sacrebleu_tokenizer={tokenizer}: {why}; use auto, 13a, intl, char, zh or none"
            ) from None

    def signature(self) -> str:
        signature = self.metric.get_signature()
        if self.order < 4:
            signature.update("order", self.order)  # which sacrebleu does not name
        return str(signature)


for _order in (1, 2, 3):

    @register_scorer(f"s2s_bleu{_order}", dataclass=BleuConfig)
    class _LowOrderBleuScorer(BleuScorer):
        label, order = f"BLEU-{_order}", _order


@register_scorer("s2s_chrf", dataclass=FairseqDataclass)
class ChrfScorer(SacrebleuScorer):
    """F-score of character n-grams (Popović 2015)."""

    label = "chrF2"
    metric = CHRF()


@register_scorer("s2s_ter", dataclass=FairseqDataclass)
class TerScorer(SacrebleuScorer):
    """Translation edit rate (Snover et al. 2006)."""

    label = "TER"
    higher_is_better = False

    @cached_property
    def metric(self) -> Metric:  # type: ignore[override]
        """Return sacrebleu's metric; of references in Han and kana, each character is a word."""
        asian = is_han_or_kana(chain.from_iterable(self.ref))
        return TER(normalized=asian, asian_support=asian)
