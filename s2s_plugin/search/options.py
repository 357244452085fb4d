"""What the search may be told."""

from __future__ import annotations

from dataclasses import dataclass

from s2s_plugin.errors import UserError

# Our own options, and their names in the task's config.
TASK_NAMES = {
    "ctc_weight": "ctc_search_weight",
    "min_len_a": "min_len_a",
    "repetition_penalty": "repetition_penalty",
    "wu_length_penalty": "wu_length_penalty",
    "coverage_penalty": "coverage_penalty",
    "patience": "search_patience",
    "typical_sampling": "typical_sampling",
    "mbr": "mbr",
    "seed": "seed",
}
# Those for speed, by their names in the task's config, with the values that change no output.
EXACT_DEFAULTS = {"search_precision": "fp32", "shortlist": 0}


@dataclass(frozen=True)
class BeamOptions:
    """Options of fairseq's ``GenerationConfig`` that this search implements, with its names and defaults, and ours.

    Attributes:
        ctc_weight: share of the CTC layer in the score, where the model has one.
        min_len_a: the shortest output has ``min_len_a * |X| + min_len`` symbols, without </s>.
        repetition_penalty: log-probabilities of symbols that a hypothesis has already are multiplied by it
            (Keskar et al. 2019, section 4.1, who multiply scores before the softmax).
        wu_length_penalty: scores are divided by ((5 + |Y|) / 6)^lenpen (Wu et al. 2016, equation 14), not |Y|^lenpen.
        coverage_penalty: weight of sum_s log min(sum_t a_ts, 1), which hypotheses lose for what they have not read
            (same equation).
        patience: a sentence is done with ``patience * beam`` finished hypotheses (Kasai et al. 2022).
        typical_sampling: probability mass of the typical symbols to draw from; 0: of all.
        mbr: utility by which the hypotheses are ordered (see :class:`MinimumBayesRisk`), or none: by score.
        seed: of sampling.
    """

    beam: int = 5
    max_len_a: float = 0.0
    max_len_b: int = 200
    min_len: int = 1
    unnormalized: bool = False
    lenpen: float = 1.0
    unkpen: float = 0.0
    temperature: float = 1.0
    no_repeat_ngram_size: int = 0
    print_alignment: str | None = None
    sampling: bool = False
    sampling_topk: int = -1
    sampling_topp: float = -1.0
    replace_unk: str | None = None
    diverse_beam_groups: int = -1
    diverse_beam_strength: float = 0.5
    constraints: str | None = None
    # ours, of the task's config
    ctc_weight: float = 0.0
    min_len_a: float = 0.0
    repetition_penalty: float = 1.0
    wu_length_penalty: bool = False
    coverage_penalty: float = 0.0
    patience: float = 1.0
    typical_sampling: float = 0.0
    mbr: str = "none"
    seed: int = 1

    @classmethod
    def from_config(cls, args: object, task: object) -> BeamOptions:
        """From fairseq's config or namespace and the task's, which may lack some of the fields."""
        known = {
            name: getattr(task, TASK_NAMES[name], None) if name in TASK_NAMES else getattr(args, name, None)
            for name in cls.__dataclass_fields__
        }
        return cls(**{name: value for name, value in known.items() if value is not None})

    def __post_init__(self):
        if self.beam < 1:
            raise UserError(f"generation.beam is {self.beam}: give a number of at least 1")
        if self.temperature <= 0:
            raise UserError(f"generation.temperature is {self.temperature}: give a number above 0")
        if not 0 <= self.ctc_weight < 1:
            raise UserError(f"task.ctc_search_weight is {self.ctc_weight}: give a number from 0 to below 1")
        if self.repetition_penalty <= 0 or self.patience <= 0 or self.coverage_penalty < 0:
            raise UserError(
                f"repetition_penalty={self.repetition_penalty}, search_patience={self.patience}, "
                f"coverage_penalty={self.coverage_penalty}: give numbers above 0 (coverage: from 0)"
            )
        self._check_sampling()
        self._check_variety()

    @property
    def reads_attention(self) -> bool:
        """Whether the search must keep attention weights."""
        return self.print_alignment is not None or self.replace_unk is not None or self.coverage_penalty > 0

    def score(self, total: float, length: int) -> float:
        """Of a hypothesis with ``length`` symbols, </s> among them, and a log-probability of ``total``."""
        if self.unnormalized:
            return total
        return total / (((5 + length) / 6) if self.wu_length_penalty else length) ** self.lenpen

    def _check_sampling(self) -> None:
        for name, value in (("sampling_topp", self.sampling_topp), ("typical_sampling", self.typical_sampling)):
            if value > 1:
                raise UserError(f"{name} is {value}: give a share of the probability, up to 1")
        if not self.sampling and (self.sampling_topk > 0 or self.sampling_topp > 0 or self.typical_sampling > 0):
            raise UserError("sampling_topk, sampling_topp and typical_sampling choose what is drawn: add --sampling")
        if self.sampling and self.patience != 1:
            raise UserError("--sampling draws as many hypotheses as --beam, and no more: set task.search_patience=1")
        if self.sampling and self.ctc_weight:
            raise UserError("--sampling draws from the decoder alone: add --ctc-search-weight 0")

    def _check_variety(self) -> None:
        groups = self.diverse_beam_groups
        if groups > 0 and self.beam % groups:
            raise UserError(f"generation.beam={self.beam} hypotheses do not make {groups} groups: give a multiple")
        if groups <= 0 and self.diverse_beam_strength != 0.5:
            raise UserError("generation.diverse_beam_strength is for groups: add generation.diverse_beam_groups=2")
        searches = {"sampling": self.sampling, "diverse_beam_groups": groups > 0, "constraints": self.constraints}
        asked = [f"generation.{name}" for name, value in searches.items() if value]
        if len(asked) > 1:
            raise UserError(f"{' and '.join(asked)} are different searches: choose one")
        if self.constraints is not None and self.ctc_weight:
            raise UserError("generation.constraints need the decoder alone: set task.ctc_search_weight=0")
        if self.mbr != "none" and self.beam == 1:
            raise UserError(f"task.mbr={self.mbr} chooses among hypotheses: set generation.beam to more than 1")
        if self.replace_unk is not None and self.print_alignment is not None:
            raise UserError("generation.replace_unk and generation.print_alignment want one column: choose one")


def own_options(task: object) -> dict[str, float | str]:
    """What the task's config asks of the search beyond fairseq's own options, by the names there."""
    defaults = BeamOptions()
    asked = {
        TASK_NAMES[name]: (getattr(task, TASK_NAMES[name]), getattr(defaults, name))
        for name in TASK_NAMES
        if name != "seed"
    }
    asked |= {name: (getattr(task, name), default) for name, default in EXACT_DEFAULTS.items()}
    # fairseq's training makes a choice an Enum
    return {name: getattr(value, "value", value) for name, (value, default) in asked.items() if value != default}
