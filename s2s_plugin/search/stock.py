"""fairseq's options of generation: which our search follows, which fairseq's own, and which nobody would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fairseq.dataclass.configs import GenerationConfig
from fairseq.ngram_repeat_block import NGramRepeatBlock
from torch import Tensor

from s2s_plugin.errors import UserError

DEFAULTS = {name: field.default for name, field in GenerationConfig.__dataclass_fields__.items()}

# What our search leaves to fairseq's own.
DELEGATED = ("diversity_rate", "match_source_len", "prefix_allowed_tokens_fn", "lm_path")
REFINED = "is for models that refine a whole output; ours write it symbol by symbol"
DROPOUT = "keeps fairseq's own dropout layers alone; take --sampling for varied outputs"
TWICE = "is for speech-to-speech models, which search twice"
# What does nothing with models of ours, and why, or what to take instead.
UNSUPPORTED = {
    "beam_mt": TWICE,
    "max_len_a_mt": TWICE,
    "max_len_b_mt": TWICE,
    "lenpen_mt": TWICE,
    "no_early_stop": "does nothing in fairseq any more: take task.search_patience=2",
    "no_beamable_mm": "is for fairseq's convolutional models",
    "sacrebleu": "does nothing in fairseq any more: take --scoring s2s_bleu",
    "print_step": REFINED,
    "retain_iter_history": REFINED,
    "decoding_format": REFINED,
    "iter_decode_eos_penalty": REFINED,
    "iter_decode_max_iter": REFINED,
    "iter_decode_force_max_iter": REFINED,
    "iter_decode_with_beam": REFINED,
    "iter_decode_with_external_reranker": REFINED,
    "retain_dropout": DROPOUT,
    "retain_dropout_modules": DROPOUT,
    "eos_token": "is for fairseq's multilingual tasks; ours take a tag in the source (subword.symbols)",
}


def is_set(args: Any, name: str) -> bool:
    """Whether an option has another value than fairseq's default; ``args`` may lack it."""
    return getattr(args, name, DEFAULTS.get(name)) not in (None, DEFAULTS.get(name))


def refuse_idle(args: Any) -> None:
    """
    Raises:
        UserError: an option would silently do nothing.
    """
    for name, reason in UNSUPPORTED.items():
        if is_set(args, name):
            raise UserError(f"--{name.replace('_', '-')} {reason}")
    beam, nbest = getattr(args, "beam", DEFAULTS["beam"]), getattr(args, "nbest", DEFAULTS["nbest"])
    if nbest > beam:
        raise UserError(f"--nbest {nbest} hypotheses are more than a search with --beam {beam} finds: raise --beam")
    if is_set(args, "lm_path") != is_set(args, "lm_weight"):
        raise UserError("--lm-path and --lm-weight go together: a language model counts for nothing by default")


def refuse_without_targets(args: Any) -> None:
    """For sources that come line by line: what needs a test set, and what only ``fairseq-generate`` has loaded.

    Raises:
        UserError: an option would silently do nothing.
    """
    if getattr(args, "prefix_size", 0):
        raise UserError("--prefix-size forces the beginning of given targets, and there are none: use fairseq-generate")
    if is_set(args, "lm_path"):
        raise UserError("--lm-path is read by fairseq-generate alone")
    if getattr(args, "print_alignment", None) == "soft":
        raise UserError("--print-alignment soft is printed by fairseq-generate alone: take hard")


def refuse_ours(args: Any, own: dict, reasons: Sequence[str]) -> None:
    """For fairseq's own search: what only ours does.

    Args:
        own: what the task asks of our search (:func:`s2s_plugin.search.options.own_options`).
        reasons: why fairseq's own is used.

    Raises:
        UserError: an option would silently do nothing, or crash.
    """
    because = f"{', '.join(reasons)}: fairseq's own search is used for it"
    for name, value in own.items():
        raise UserError(f"{because}, which does not know task.{name}={value}: leave one of them out")
    if is_set(args, "replace_unk"):
        raise UserError(f"{because}, which does not say what --replace-unk is to copy: leave one of them out")


class NGrams(NGramRepeatBlock):
    """--no-repeat-ngram-size of fairseq's own search, which without its CUDA extension looks at what is not written."""

    def _no_repeat_ngram(self, tokens: Tensor, lprobs: Tensor, bsz: int, beam_size: int, step: int) -> Tensor:
        return super()._no_repeat_ngram(tokens[:, : step + 1], lprobs, bsz, beam_size, step)
