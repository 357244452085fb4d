"""ROUGE-1, ROUGE-2 and ROUGE-L by rouge-score: overlap of a summary and its reference."""

from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from itertools import chain

from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from fairseq.scoring import register_scorer

from s2s_plugin.scoring.base import MeanScorer
from s2s_plugin.scoring.recognition import normalize_basic
from s2s_plugin.scoring.tokenizers import UNSPACED, is_latin
from s2s_plugin.utils.options import option


@dataclass
class RougeConfig(FairseqDataclass):
    """Options of ROUGE."""

    rouge_tokenizer: ChoiceEnum(["auto", "rouge", "unicode"]) = option(  # type: ignore[valid-type]
        "auto",
        "characters of words; rouge: a to z and digits, as published; unicode: letters of any script; auto: unicode if "
        "most words of the references are not in Latin letters",
    )
    rouge_stemmer: bool = option(True, "compare words of more than three letters by their Porter stems (English)")


class UnicodeTokenizer:
    """Words of any script in lower case, without punctuation; rouge-score's own tokenizer keeps a to z only.

    Where words have no spaces between them, each character is one.
    """

    def __init__(self, stemmer=None):
        self.stemmer = stemmer

    def tokenize(self, text: str) -> list[str]:
        words = UNSPACED.sub(r" \g<0> ", normalize_basic(text)).split()
        return [self.stemmer.stem(word) if self.stemmer and len(word) > 3 else word for word in words]


class RougeScorer(MeanScorer):
    """Mean over the items of the F-measure with equal weight of precision and recall, in percent (Lin 2004).

    Of several references the one with the highest F-measure counts.
    """

    kind = ""  # rouge-score's name

    def __init__(self, cfg: RougeConfig):
        super().__init__(cfg)
        if self.tokenizer != "auto":
            self.rouge  # noqa: B018 (loads what it needs before there is work)

    @property
    def tokenizer(self) -> str:
        """Return the tokenizer of these references."""
        chosen = str(self.cfg.rouge_tokenizer)
        if chosen != "auto" or not self.ref:
            return chosen
        return "rouge" if is_latin(chain.from_iterable(self.ref)) else "unicode"

    @cached_property
    def rouge(self):
        """Return the metric of rouge-score."""
        from nltk.stem.porter import PorterStemmer
        from rouge_score.rouge_scorer import RougeScorer as Rouge  # loads all of nltk

        tokenizer = None
        if self.tokenizer == "unicode":
            tokenizer = UnicodeTokenizer(PorterStemmer() if self.cfg.rouge_stemmer else None)
        return Rouge([self.kind], use_stemmer=self.cfg.rouge_stemmer, tokenizer=tokenizer)

    def item_scores(self) -> list[float]:
        return [100 * scores[self.kind].fmeasure for scores in map(self.rouge.score_multi, self.ref, self.pred)]

    def settings(self) -> str:
        stemmer, tool = "porter" if self.cfg.rouge_stemmer else "no", metadata.version("rouge-score")
        return f"{self.kind.lower()}|f|tok:{self.tokenizer}|stem:{stemmer}|tool:rouge-score-{tool}"


for _kind in ("rouge1", "rouge2", "rougeL"):  # overlap of words, of pairs of words; longest common subsequence

    @register_scorer(f"s2s_{_kind.lower()}", dataclass=RougeConfig)
    class _RougeScorer(RougeScorer):
        label, kind = f"ROUGE-{_kind[-1]}", _kind
