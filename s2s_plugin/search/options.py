"""Search options: which of fairseq's our search supports, and ours from the task's config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from fairseq.dataclass.configs import GenerationConfig

from s2s_plugin.errors import UserError

FAIRSEQ_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(GenerationConfig)}
# Options that our search delegates to fairseq's own.
DELEGATED = ("diversity_rate", "match_source_len", "prefix_allowed_tokens_fn", "lm_path")
# Options without an effect on our models, and what to use instead.
UNSUPPORTED = {
    "no_early_stop": "has no effect in fairseq any more; use task.search_patience=2",
    "sacrebleu": "has no effect in fairseq any more; use --scoring s2s_bleu",
    "retain_dropout": "affects only fairseq's own dropout layers; use --sampling for varied outputs",
    "eos_token": "is for fairseq's multilingual tasks; use a tag in the source (subword.symbols)",
}


@dataclass(frozen=True)
class BeamOptions:
    """Options of fairseq's ``GenerationConfig`` that this search supports, and ours, with the same names and defaults.

    Attributes:
        ctc_search_weight: weight of the CTC score, where the model has a CTC layer.
        min_len_a: the minimum output length is ``min_len_a * |X| + min_len``, without </s>.
        repetition_penalty: factor on the log-probabilities of tokens that a hypothesis already contains
            (Keskar et al. 2019, section 4.1, who multiply scores before the softmax).
        wu_length_penalty: scores are divided by ((5 + |Y|) / 6)^lenpen (Wu et al. 2016, equation 14), not |Y|^lenpen.
        coverage_penalty: weight of sum_s log min(sum_t a_ts, 1) (same equation).
        search_patience: a sentence is done with ``search_patience * beam`` finished hypotheses (Kasai et al. 2022).
        typical_sampling: probability mass of the typical tokens to sample from; 0: all tokens.
        mbr: utility that reranks the hypotheses (see :class:`MinimumBayesRisk`), or none.
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
    # of the task's config
    ctc_search_weight: float = 0.0
    min_len_a: float = 0.0
    repetition_penalty: float = 1.0
    wu_length_penalty: bool = False
    coverage_penalty: float = 0.0
    search_patience: float = 1.0
    typical_sampling: float = 0.0
    mbr: str = "none"
    seed: int = 1

    @classmethod
    def from_config(cls, generation: object, task: object) -> BeamOptions:
        """Return the options in fairseq's config or namespace and the task's, either of which may lack fields."""
        names = [field.name for field in fields(cls)]
        values = {name: getattr(generation if name in FAIRSEQ_DEFAULTS else task, name, None) for name in names}
        return cls(**{name: value for name, value in values.items() if value is not None})

    def __post_init__(self):
        require(self.beam >= 1, f"generation.beam must be at least 1, got {self.beam}")
        require(self.temperature > 0, f"generation.temperature must be positive, got {self.temperature}")
        weight = self.ctc_search_weight
        require(0 <= weight < 1, f"task.ctc_search_weight must be in [0, 1), got {weight}")
        for name in ("repetition_penalty", "search_patience"):
            require(getattr(self, name) > 0, f"task.{name} must be positive, got {getattr(self, name)}")
        require(self.coverage_penalty >= 0, f"task.coverage_penalty must not be negative, got {self.coverage_penalty}")
        self._check_sampling()
        self._check_combinations()

    @property
    def needs_attention(self) -> bool:
        """Whether the search must record attention weights."""
        return self.print_alignment is not None or self.replace_unk is not None or self.coverage_penalty > 0

    def score(self, total: float, length: int) -> float:
        """Return the score of a hypothesis of ``length`` tokens, with </s>, and a log-probability of ``total``."""
        if self.unnormalized:
            return total
        return total / (((5 + length) / 6) if self.wu_length_penalty else length) ** self.lenpen

    def _check_sampling(self) -> None:
        for name, value in (
            ("generation.sampling_topp", self.sampling_topp),
            ("task.typical_sampling", self.typical_sampling),
        ):
            require(value <= 1, f"{name} must be at most 1, got {value}")
        truncated = self.sampling_topk > 0 or self.sampling_topp > 0 or self.typical_sampling > 0
        require(self.sampling or not truncated, "sampling_topk, sampling_topp and typical_sampling require --sampling")
        require(
            not self.sampling or self.search_patience == 1,
            f"generation.sampling requires task.search_patience=1, got {self.search_patience}",
        )

    def _check_combinations(self) -> None:
        groups = self.diverse_beam_groups
        require(
            groups <= 0 or self.beam % groups == 0,
            f"generation.beam must be a multiple of diverse_beam_groups={groups}, got {self.beam}",
        )
        require(
            groups > 0 or self.diverse_beam_strength == 0.5,
            "generation.diverse_beam_strength requires generation.diverse_beam_groups",
        )
        for names in (
            ("sampling", "diverse_beam_groups", "constraints"),
            ("sampling", "ctc_search_weight"),
            ("constraints", "ctc_search_weight"),
            ("replace_unk", "print_alignment"),
        ):
            active = [name for name in names if getattr(self, name) not in (None, False, -1, 0)]
            require(len(active) < 2, f"{' and '.join(map(_qualified, active))} are mutually exclusive")
        require(self.mbr == "none" or self.beam > 1, f"task.mbr={self.mbr} requires generation.beam > 1")


def require(condition: bool, message: str) -> None:
    """Raise a UserError with the message unless the condition holds."""
    if not condition:
        raise UserError(message)


def is_set(generation: Any, name: str) -> bool:
    """Return whether an option of fairseq's differs from its default; ``generation`` may lack it."""
    default = FAIRSEQ_DEFAULTS.get(name)
    return getattr(generation, name, default) not in (None, default)


def check_generation(generation: Any) -> None:
    """Raise if an option of fairseq's would have no effect.

    Raises:
        UserError: an option without an effect, or one that requires another.
    """
    for name, reason in UNSUPPORTED.items():
        require(not is_set(generation, name), f"{_flag(name)} {reason}")
    beam, nbest = (getattr(generation, name, FAIRSEQ_DEFAULTS[name]) for name in ("beam", "nbest"))
    require(nbest <= beam, f"--nbest must be at most --beam={beam}, got {nbest}")
    if is_set(generation, "lm_path") != is_set(generation, "lm_weight"):
        raise UserError("--lm-path requires --lm-weight, and the reverse")


def check_without_targets(generation: Any) -> None:
    """Raise if an option requires a test set or ``fairseq-generate``, for sources that come line by line.

    Raises:
        UserError: the option would have no effect.
    """
    for name, is_used in (
        ("prefix_size", bool(getattr(generation, "prefix_size", 0))),
        ("lm_path", is_set(generation, "lm_path")),
    ):
        require(not is_used, f"{_flag(name)} requires fairseq-generate")
    if getattr(generation, "print_alignment", None) == "soft":
        raise UserError("--print-alignment soft requires fairseq-generate; use hard")


def check_delegated(generation: Any, own: Mapping[str, object], reasons: Sequence[str]) -> None:
    """Raise if fairseq's own search is used and an option requires ours.

    Args:
        generation: fairseq's options.
        own: our search options that are set, by name.
        reasons: why fairseq's own search is used.

    Raises:
        UserError: the option would have no effect, or crash.
    """
    for name, value in own.items():
        raise UserError(f"{', '.join(reasons)} uses fairseq's own search, which does not support task.{name}={value}")
    if is_set(generation, "replace_unk"):
        raise UserError(f"{', '.join(reasons)} uses fairseq's own search, which does not support --replace-unk")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _qualified(name: str) -> str:
    return f"{'generation' if name in FAIRSEQ_DEFAULTS else 'task'}.{name}"
