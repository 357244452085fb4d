"""Search options: which of fairseq's our search supports, and ours from the task's config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from fairseq.dataclass.configs import GenerationConfig
from torch import Tensor

from s2s_plugin.errors import UserError

Number = TypeVar("Number", float, Tensor)

FAIRSEQ_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(GenerationConfig)}
# Options that our search leaves to fairseq's own.
DELEGATED = ("diversity_rate", "match_source_len", "prefix_allowed_tokens_fn", "lm_path")
# Options without an effect on our models, and what to use instead.
UNSUPPORTED = {
    "no_early_stop": "has no effect in fairseq any more; its rule is the default, which task.search_patience=1 changes",
    "sacrebleu": "has no effect in fairseq any more; use scoring=s2s_bleu (--scoring s2s_bleu)",
    "retain_dropout": "affects only fairseq's own dropout layers; use generation.sampling for varied outputs",
    "eos_token": "is for fairseq's multilingual tasks; use a tag in the source (subword.special_tokens)",
}
EXCLUSIVE = (
    ("sampling", "diverse_beam_groups", "constraints"),
    ("sampling", "ctc_search_weight"),
    ("constraints", "ctc_search_weight"),
    ("replace_unk", "print_alignment"),
)


@dataclass(frozen=True)
class BeamOptions:
    """Options of fairseq's ``GenerationConfig`` that this search supports, and the task's, by the same names."""

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
    # of the task's config
    ctc_search_weight: float = 0.0
    min_len_a: float = 0.0
    repetition_penalty: float = 1.0  # Keskar et al. 2019, section 4.1, who multiply scores before the softmax
    wu_length_penalty: bool = False  # Wu et al. 2016, equation 14
    coverage_penalty: float = 0.0  # weight of sum_s log min(sum_t a_ts, 1), same equation
    search_patience: float | None = None  # Kasai et al. 2022
    typical_sampling: float = 0.0
    mbr: str = "none"
    knn_neighbors: int = 16
    knn_weight: float = 0.5
    knn_temperature: float = 0.1
    seed: int = 1

    @classmethod
    def from_config(cls, generation: object, task: object) -> BeamOptions:
        """Return the options in fairseq's config or namespace and the task's, either of which may lack fields."""
        names = [field.name for field in fields(cls)]
        values = {name: getattr(generation if name in FAIRSEQ_DEFAULTS else task, name, None) for name in names}
        return cls(**{name: value for name, value in values.items() if value is not None})

    def __post_init__(self):
        beam, groups, patience = self.beam, self.diverse_beam_groups, self.search_patience
        penalty, ctc_weight = self.repetition_penalty, self.ctc_search_weight
        truncated = max(self.sampling_topk, self.sampling_topp, self.typical_sampling)
        for condition, message in (
            (beam >= 1, f"generation.beam must be at least 1, got {beam}"),
            (self.temperature > 0, f"generation.temperature must be positive, got {self.temperature}"),
            (0 <= ctc_weight < 1, f"task.ctc_search_weight must be in [0, 1), got {ctc_weight}"),
            (penalty > 0, f"task.repetition_penalty must be positive, got {penalty}"),
            (patience is None or patience > 0, f"task.search_patience must be positive, got {patience}"),
            (self.coverage_penalty >= 0, f"task.coverage_penalty must not be negative, got {self.coverage_penalty}"),
            (self.sampling_topp <= 1, f"generation.sampling_topp must be at most 1, got {self.sampling_topp}"),
            (self.typical_sampling <= 1, f"task.typical_sampling must be at most 1, got {self.typical_sampling}"),
            (self.sampling or truncated <= 0, "sampling_topk, sampling_topp and typical_sampling require sampling"),
            (not self.sampling or patience in (None, 1), f"sampling requires task.search_patience=1, got {patience}"),
            (groups <= 0 or beam % groups == 0, f"generation.beam must be a multiple of {groups} groups, got {beam}"),
            (groups > 0 or self.diverse_beam_strength == 0.5, "diverse_beam_strength requires diverse_beam_groups"),
            (self.knn_neighbors >= 1, f"task.knn_neighbors must be at least 1, got {self.knn_neighbors}"),
            (0 <= self.knn_weight <= 1, f"task.knn_weight must be in [0, 1], got {self.knn_weight}"),
            (self.knn_temperature > 0, f"task.knn_temperature must be positive, got {self.knn_temperature}"),
            (self.mbr == "none" or beam > 1, f"task.mbr={self.mbr} requires generation.beam > 1, got {beam}"),
        ):
            require(condition, message)
        for names in EXCLUSIVE:
            set_names = [name for name in names if getattr(self, name) not in (None, False, -1, 0)]
            active = [f"{'generation' if name in FAIRSEQ_DEFAULTS else 'task'}.{name}" for name in set_names]
            require(len(active) < 2, f"{' and '.join(active)} are mutually exclusive")

    @property
    def needs_attention(self) -> bool:
        """Whether the search must record attention weights."""
        return self.print_alignment is not None or self.replace_unk is not None or self.coverage_penalty > 0

    def score(self, total: Number, length: int) -> Number:
        """Return the score of a hypothesis of ``length`` tokens, with </s>, and a log-probability of ``total``."""
        if self.unnormalized:
            return total
        return total / (((5 + length) / 6) if self.wu_length_penalty else length) ** self.lenpen


def require(condition: bool, message: str) -> None:
    """Raise a UserError with the message unless the condition holds."""
    if not condition:
        raise UserError(message)


def is_set(generation: Any, name: str) -> bool:
    """Return whether an option of fairseq's differs from its default; ``generation`` may lack it."""
    default = FAIRSEQ_DEFAULTS.get(name)
    return getattr(generation, name, default) not in (None, default)


def both_names(name: str) -> str:
    """Return what an option of fairseq's generation is called by ``s2s``, and by fairseq's own commands."""
    return f"generation.{name} (--{name.replace('_', '-')})"


def delegated(generation: Any) -> list[str]:
    """Return the names of the options that our search delegates to fairseq's own."""
    return [both_names(name) for name in DELEGATED if is_set(generation, name)]


def check_generation(generation: Any) -> None:
    """Raise a UserError if an option of fairseq's would have no effect, or requires another."""
    for name, reason in UNSUPPORTED.items():
        require(not is_set(generation, name), f"{both_names(name)} {reason}")
    beam, nbest = (getattr(generation, name, FAIRSEQ_DEFAULTS[name]) for name in ("beam", "nbest"))
    require(nbest <= beam, f"{both_names('nbest')} must be at most generation.beam={beam}, got {nbest}")
    matching = is_set(generation, "lm_path") == is_set(generation, "lm_weight")
    require(matching, f"{both_names('lm_path')} requires generation.lm_weight, and the reverse")


def check_without_targets(generation: Any) -> None:
    """Raise a UserError if an option requires ``fairseq-generate``, for sources that come line by line."""
    require(not getattr(generation, "prefix_size", 0), f"{both_names('prefix_size')} requires fairseq-generate")
    require(not is_set(generation, "lm_path"), f"{both_names('lm_path')} requires fairseq-generate")
    soft = getattr(generation, "print_alignment", None) == "soft"
    require(not soft, f"{both_names('print_alignment')} must be hard here, got soft, which requires fairseq-generate")


def check_delegated(generation: Any, own: Mapping[str, object], reasons: Sequence[str]) -> None:
    """Raise a UserError if an option, fairseq's or our ``own``, requires our search and ``reasons`` fairseq's.

    Minimum Bayes risk reranks the hypotheses of either, and a patience of 1 is how fairseq's search ends.
    """
    either = {"mbr": own.get("mbr"), "search_patience": 1.0}
    unsupported = [f"task.{name}={value}" for name, value in own.items() if (name, value) not in either.items()]
    unsupported += [both_names("replace_unk")] * is_set(generation, "replace_unk")
    message = f"{', '.join(reasons)} uses fairseq's own search, which does not support {', '.join(unsupported)}"
    require(not unsupported, message)
