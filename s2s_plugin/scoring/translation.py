"""BLEU, chrF and TER by sacrebleu, each with its signature."""

from dataclasses import dataclass, field

from fairseq.dataclass import FairseqDataclass
from fairseq.scoring import BaseScorer, register_scorer
from sacrebleu.metrics import BLEU, CHRF, TER


@dataclass
class BleuConfig(FairseqDataclass):
    sacrebleu_tokenizer: str = field(
        default="13a", metadata={"help": "sacrebleu's tokenizer: 13a, intl, char, zh, ja-mecab, ko-mecab, none"}
    )
    sacrebleu_lowercase: bool = field(default=False, metadata={"help": "ignore case"})


class SacrebleuScorer(BaseScorer):
    """Collects detokenised lines; scores are percentages.

    Attributes:
        label: the metric's usual name.
        higher_is_better: False for error rates.
    """

    label = ""
    higher_is_better = True

    def metric(self):
        raise NotImplementedError

    def score(self) -> float:
        return self.evaluate()[0]

    def evaluate(self) -> tuple[float, str]:
        """Corpus score and sacrebleu's signature."""
        metric = self.metric()
        result = metric.corpus_score(self.pred, [self.ref])
        return result.score, str(metric.get_signature())

    def result_string(self) -> str:
        metric = self.metric()
        return f"{metric.corpus_score(self.pred, [self.ref])} {metric.get_signature()}"


@register_scorer("s2s_bleu", dataclass=BleuConfig)
class BleuScorer(SacrebleuScorer):
    label = "BLEU"

    def metric(self) -> BLEU:
        return BLEU(tokenize=self.cfg.sacrebleu_tokenizer, lowercase=self.cfg.sacrebleu_lowercase)


@register_scorer("s2s_chrf", dataclass=FairseqDataclass)
class ChrfScorer(SacrebleuScorer):
    label = "chrF2"

    def metric(self) -> CHRF:
        return CHRF()


@register_scorer("s2s_ter", dataclass=FairseqDataclass)
class TerScorer(SacrebleuScorer):
    label = "TER"
    higher_is_better = False

    def metric(self) -> TER:
        return TER()
