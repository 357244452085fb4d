"""Options of the task ``s2s``."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from omegaconf import II, MISSING, DictConfig

from s2s_plugin.scoring.rewards import REWARDS
from s2s_plugin.scoring.tokenizers import AUTO
from s2s_plugin.scoring.validation import METRICS
from s2s_plugin.search.knn.datastore import META
from s2s_plugin.search.precision import PRECISIONS
from s2s_plugin.utils.options import DECODING, SPEED, TRAINING_AND_DECODING, option, options_affecting


@dataclass
class Seq2SeqTaskConfig(FairseqDataclass):
    """Options of the data, of validation by decoding, and of the search."""

    data: str = option(MISSING, "folder made by fairseq-preprocess or s2s prepare")
    source_lang: Optional[str] = field(
        default=None, metadata={"help": "source language, as in the data's file names", "argparse_alias": "-s"}
    )
    target_lang: Optional[str] = field(
        default=None, metadata={"help": "target language, as in the data's file names", "argparse_alias": "-t"}
    )
    max_source_positions: int = option(1024, "maximum source length, in tokens or frames", TRAINING_AND_DECODING)
    truncate_source: bool = option(
        False, "truncate source texts that are longer than task.max_source_positions", TRAINING_AND_DECODING
    )
    max_target_positions: int = option(1024, "maximum target length, in tokens", TRAINING_AND_DECODING)
    precision: ChoiceEnum(["auto", "fp32", "bf16"]) = option(  # type: ignore[valid-type]
        "auto", "of matrix products in training; weights stay fp32; auto: bf16 on CPUs where faster, else fp32"
    )
    eval_metric: ChoiceEnum(["none", *METRICS]) = option(  # type: ignore[valid-type]
        "none", "decode the validation set and log this metric as valid_<metric>"
    )
    eval_tokenizer: str = option(
        AUTO, "sacrebleu tokenizer of the validation metric; auto: by the script of the references"
    )
    eval_beam: int = option(1, "beam size in validation")
    eval_max_len: Optional[int] = option(
        None,
        "maximum output length in validation, in tokens; default: 1.5 * source length + 10 for text, 200 for signals",
    )
    ctc_search_weight: float = option(0.0, "weight of the CTC score in the search, in [0, 1)", TRAINING_AND_DECODING)
    min_len_a: float = option(0.0, "minimum output length: min_len_a * source length + generation.min_len", DECODING)
    repetition_penalty: float = option(
        1.0, "factor on the log-probabilities of tokens that the hypothesis already contains; try 1.2", DECODING
    )
    wu_length_penalty: bool = option(
        False, "normalize scores by ((5 + length) / 6)^lenpen instead of length^lenpen", DECODING
    )
    coverage_penalty: float = option(
        0.0, "weight of the penalty for source positions without attention; try 0.2", DECODING
    )
    search_patience: Optional[float] = option(
        None,
        "end a search with patience * generation.beam finished hypotheses, 1: as fairseq does; default: when the "
        "greedy one has finished too and none is better so far",
        DECODING,
    )
    typical_sampling: float = option(
        0.0, "with generation.sampling: sample from the locally typical tokens with this probability mass", DECODING
    )
    mbr: ChoiceEnum(["none", *REWARDS]) = option(  # type: ignore[valid-type]
        "none", "rerank hypotheses by minimum Bayes risk under this metric", DECODING
    )
    knn: Optional[str] = option(
        None,
        "datastore, made by s2s datastore: the neighbors of a decoder state have a say in the next token",
        DECODING,
    )
    knn_neighbors: int = option(16, "with --knn: number k of neighbors", DECODING)
    knn_weight: float = option(0.5, "with --knn: weight of the neighbors, in [0, 1]", DECODING)
    knn_temperature: float = option(
        0.1, "with --knn: temperature of the neighbors' weights; the higher, the more equal", DECODING
    )
    shortlist: int = option(
        0, "target candidates per source token, for a faster search; 0: the whole vocabulary", DECODING + SPEED
    )
    search_precision: ChoiceEnum(list(PRECISIONS)) = option(  # type: ignore[valid-type]
        "fp32", "precision of the decoder's matrix products in the search; int8: CPU only", SPEED
    )
    train_share: float = option(1.0, "share of the training pairs to train on, to see what more data would bring")
    subword_sampling: float = option(
        0.0, "sample another subword segmentation of the training text every epoch; try 0.2 for unigram, 0.1 for bpe"
    )
    time_stretch: float = option(0.0, "audio, video: maximum change of the duration in training, as a share of it")
    time_masks: int = option(0, "audio, video: number of SpecAugment time masks in training")
    time_mask_share: float = option(0.1, "maximum width of a time mask, as a share of the duration")
    freq_masks: int = option(0, "audio: number of SpecAugment frequency masks in training")
    freq_mask_width: int = option(15, "maximum width of a frequency mask, in mel channels")
    translate: float = option(0.0, "video, image: maximum shift in training, as a share of height and width")
    flip: bool = option(False, "video, image: mirror half of the training sources")
    color_jitter: float = option(
        0.0, "video, image: maximum change of contrast and brightness in training, in deviations"
    )
    seed: int = field(default=II("common.seed"), metadata={"affects": TRAINING_AND_DECODING})
    num_shards: int = II("dataset.num_shards")
    shard_id: int = II("dataset.shard_id")


def decoding_options(task: Any) -> dict[str, Any]:
    """Return all options of the task that decoded outputs depend on, by name."""
    return _values(task, DECODING_OPTIONS)


def generation_key(cfg: DictConfig) -> list[object]:
    """Return what determines the outputs in addition to the model and the data, for a fingerprint."""
    key = [cfg.generation, sorted(decoding_options(cfg.task).items())]
    if cfg.task.knn is not None:
        key.append(Path(cfg.task.knn) / META)
    if cfg.generation.replace_unk and (replacements := Path(cfg.generation.replace_unk)).is_file():
        key.append(replacements)
    return key


def search_options(task: Any) -> dict[str, Any]:
    """Return the search's options that differ from their defaults, by name."""
    return {name: value for name, value in _values(task, SEARCH_DEFAULTS).items() if value != SEARCH_DEFAULTS[name]}


def _values(task: Any, names: Iterable[str]) -> dict[str, Any]:
    values = {name: getattr(task, name) for name in names}
    return {name: getattr(value, "value", value) for name, value in values.items()}  # fairseq makes a choice an Enum


DECODING_OPTIONS = options_affecting(Seq2SeqTaskConfig, "decoding", "speed")
SEARCH_DEFAULTS = {
    name: Seq2SeqTaskConfig.__dataclass_fields__[name].default
    for name in DECODING_OPTIONS
    if name not in options_affecting(Seq2SeqTaskConfig, "training")
}
EXACT_SEARCH = {name: SEARCH_DEFAULTS[name] for name in options_affecting(Seq2SeqTaskConfig, "speed")}
