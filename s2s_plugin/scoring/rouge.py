"""ROUGE-1, ROUGE-2 and ROUGE-L by rouge-score: overlap of a summary and its reference."""

from dataclasses import dataclass, field
from importlib import metadata

from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from fairseq.scoring import register_scorer

from s2s_plugin.scoring.base import MeanScorer, import_optional
from s2s_plugin.scoring.recognition import normalize_basic

REQUIREMENT = ("ROUGE", "rouge-score==0.1.2")


@dataclass
class RougeConfig(FairseqDataclass):
    """Options of ROUGE."""

    rouge_tokenizer: ChoiceEnum(["rouge", "unicode"]) = field(  # type: ignore[valid-type]
        default="rouge",
        metadata={
            "help": "characters of words; rouge: a to z and digits, as published; unicode: letters of any script"
        },
    )
    rouge_stemmer: bool = field(
        default=True, metadata={"help": "compare words of more than three letters by their Porter stems (English)"}
    )


class UnicodeTokenizer:
    """Words of any script in lower case, without punctuation; rouge-score's own tokenizer keeps a to z only."""

    def __init__(self, stemmer=None):
        self.stemmer = stemmer

    def tokenize(self, text: str) -> list[str]:
        words = normalize_basic(text).split()
        return [self.stemmer.stem(word) if self.stemmer and len(word) > 3 else word for word in words]


class RougeScorer(MeanScorer):
    """Mean over the items of the F-measure with equal weight of precision and recall, in percent (Lin 2004).

    Of several references the one with the highest F-measure counts.

    Raises:
        UserError: rouge-score is not installed.
    """

    kind = ""  # rouge-score's name

    def __init__(self, cfg: RougeConfig):
        super().__init__(cfg)
        tokenizer = None
        if cfg.rouge_tokenizer == "unicode":
            stemmer = import_optional("nltk.stem.porter", *REQUIREMENT).PorterStemmer() if cfg.rouge_stemmer else None
            tokenizer = UnicodeTokenizer(stemmer)
        scorer = import_optional("rouge_score.rouge_scorer", *REQUIREMENT).RougeScorer  # loads all of nltk
        self.rouge = scorer([self.kind], use_stemmer=cfg.rouge_stemmer, tokenizer=tokenizer)

    def item_scores(self) -> list[float]:
        return [100 * scores[self.kind].fmeasure for scores in map(self.rouge.score_multi, self.ref, self.pred)]

    def signature(self) -> str:
        return (
            f"{self.kind.lower()}|f|tok:{self.cfg.rouge_tokenizer}|stem:{'porter' if self.cfg.rouge_stemmer else 'no'}"
            f"|tool:rouge-score-{metadata.version('rouge-score')}|refs:{self.references_per_item()}"
        )


@register_scorer("s2s_rouge1", dataclass=RougeConfig)
class Rouge1Scorer(RougeScorer):
    """Overlap of words."""

    label = "ROUGE-1"
    kind = "rouge1"


@register_scorer("s2s_rouge2", dataclass=RougeConfig)
class Rouge2Scorer(RougeScorer):
    """Overlap of pairs of adjacent words."""

    label = "ROUGE-2"
    kind = "rouge2"


@register_scorer("s2s_rougel", dataclass=RougeConfig)
class RougeLScorer(RougeScorer):
    """Longest common subsequence of words."""

    label = "ROUGE-L"
    kind = "rougeL"
