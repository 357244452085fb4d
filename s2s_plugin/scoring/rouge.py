"""ROUGE-1, ROUGE-2 and ROUGE-L by rouge-score: how much of a summary is in the reference, and the other way round."""

from dataclasses import dataclass, field
from importlib import import_module, metadata
from types import ModuleType

from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from fairseq.scoring import register_scorer

from s2s_plugin.errors import UserError
from s2s_plugin.scoring.base import MeanScorer
from s2s_plugin.scoring.recognition import normalize_basic


@dataclass
class RougeConfig(FairseqDataclass):
    rouge_tokenizer: ChoiceEnum(["rouge", "unicode"]) = field(  # type: ignore[valid-type]
        default="rouge",
        metadata={"help": "what a word is. rouge: a to z and digits, as published; unicode: letters of any script"},
    )
    rouge_stemmer: bool = field(
        default=True, metadata={"help": "compare words of more than three letters by their Porter stems (English)"}
    )


class UnicodeTokenizer:
    """Words of any script in lower case, without punctuation; rouge-score's own knows a to z alone."""

    def __init__(self, stemmer=None):
        self.stemmer = stemmer

    def tokenize(self, text: str) -> list[str]:
        words = normalize_basic(text).split()
        return [self.stemmer.stem(word) if self.stemmer and len(word) > 3 else word for word in words]


class RougeScorer(MeanScorer):
    """Mean over the items of the F-measure with equal weight of precision and recall, in percent (Lin 2004).

    Of several references of an item counts the one with the highest F-measure.

    Raises:
        UserError: rouge-score is not installed.
    """

    kind = ""  # rouge-score's name

    def __init__(self, cfg: RougeConfig):
        super().__init__(cfg)
        tokenizer = None
        if cfg.rouge_tokenizer == "unicode":
            tokenizer = UnicodeTokenizer(
                import_rouge("nltk.stem.porter").PorterStemmer() if cfg.rouge_stemmer else None
            )
        scorer = import_rouge("rouge_score.rouge_scorer").RougeScorer
        self.rouge = scorer([self.kind], use_stemmer=cfg.rouge_stemmer, tokenizer=tokenizer)

    def of_items(self) -> list[float]:
        found = map(self.rouge.score_multi, self.ref, self.pred)
        return [100 * scores[self.kind].fmeasure for scores in found]

    def signature(self) -> str:
        return (
            f"{self.kind.lower()}|f|tok:{self.cfg.rouge_tokenizer}|stem:{'porter' if self.cfg.rouge_stemmer else 'no'}"
            f"|tool:rouge-score-{metadata.version('rouge-score')}|refs:{self.references_per_item()}"
        )


@register_scorer("s2s_rouge1", dataclass=RougeConfig)
class Rouge1Scorer(RougeScorer):
    """Words that both have."""

    label = "ROUGE-1"
    kind = "rouge1"


@register_scorer("s2s_rouge2", dataclass=RougeConfig)
class Rouge2Scorer(RougeScorer):
    """Pairs of neighbouring words that both have."""

    label = "ROUGE-2"
    kind = "rouge2"


@register_scorer("s2s_rougel", dataclass=RougeConfig)
class RougeLScorer(RougeScorer):
    """The longest series of words that both have in this order, with gaps."""

    label = "ROUGE-L"
    kind = "rougeL"


def import_rouge(name: str) -> ModuleType:
    """A module of rouge-score or of what it brings, imported late: it loads all of nltk.

    Raises:
        UserError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError:
        raise UserError("ROUGE needs rouge-score: pip install rouge-score==0.1.2") from None
