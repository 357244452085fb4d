"""Options of the task ``s2s``."""

from dataclasses import dataclass, field
from typing import Optional

from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from omegaconf import II, MISSING

from s2s_plugin.scoring.rewards import REWARDS
from s2s_plugin.scoring.validation import METRICS
from s2s_plugin.search.precision import PRECISIONS


@dataclass
class Seq2SeqTaskConfig(FairseqDataclass):
    """What the data is and how validation looks at it."""

    data: str = field(default=MISSING, metadata={"help": "folder made by fairseq-preprocess or s2s prepare"})
    source_lang: Optional[str] = field(
        default=None, metadata={"help": "source language, as in the data's file names", "argparse_alias": "-s"}
    )
    target_lang: Optional[str] = field(
        default=None, metadata={"help": "target language, as in the data's file names", "argparse_alias": "-t"}
    )
    max_source_positions: int = field(default=1024, metadata={"help": "longest source, in steps"})
    truncate_source: bool = field(
        default=False, metadata={"help": "read only the beginning of texts that are longer than --max-source-positions"}
    )
    max_target_positions: int = field(default=1024, metadata={"help": "longest target, in symbols"})
    precision: ChoiceEnum(["auto", "fp32", "bf16"]) = field(  # type: ignore[valid-type]
        default="auto",
        metadata={
            "help": "of products in training; weights stay float32. auto: bf16 on a CPU that is faster in it, else fp32"
        },
    )
    eval_metric: ChoiceEnum(["none", *METRICS]) = field(  # type: ignore[valid-type]
        default="none", metadata={"help": "decode the validation set and log this metric as valid_<metric>"}
    )
    eval_tokenizer: str = field(default="13a", metadata={"help": "sacrebleu's tokenizer for that metric"})
    eval_beam: int = field(default=1, metadata={"help": "beam size of that decoding"})
    eval_max_len: Optional[int] = field(
        default=None,
        metadata={"help": "longest output of it, in symbols; default: 1.5 times the source and 10, of signals 200"},
    )
    ctc_search_weight: float = field(
        default=0.0, metadata={"help": "share of the CTC layer in the search's score, from 0 to below 1"}
    )
    min_len_a: float = field(
        default=0.0, metadata={"help": "shortest output: so many times the source's length, and --min-len"}
    )
    repetition_penalty: float = field(
        default=1.0, metadata={"help": "factor of the log-probability of symbols that an output has already; try 1.2"}
    )
    wu_length_penalty: bool = field(
        default=False, metadata={"help": "normalise scores by ((5 + length) / 6)^lenpen, not length^lenpen"}
    )
    coverage_penalty: float = field(
        default=0.0, metadata={"help": "weight of a penalty for parts of the source that got no attention; try 0.2"}
    )
    search_patience: float = field(
        default=1.0, metadata={"help": "search until so many times --beam hypotheses have ended; try 2"}
    )
    typical_sampling: float = field(
        default=0.0,
        metadata={
            "help": "with --sampling: draw from the most typical symbols that have this share of the probability"
        },
    )
    mbr: ChoiceEnum(["none", *REWARDS]) = field(  # type: ignore[valid-type]
        default="none",
        metadata={"help": "choose the hypothesis that is most like the others by this measure (minimum Bayes risk)"},
    )
    shortlist: int = field(
        default=0,
        metadata={"help": "write only what so many candidates of each source symbol allow, for speed; 0: anything"},
    )
    search_precision: ChoiceEnum(list(PRECISIONS)) = field(  # type: ignore[valid-type]
        default="fp32", metadata={"help": "of the decoder's matrix products when generating; int8 is for CPUs"}
    )
    search_graphs: bool = field(
        default=False, metadata={"help": "on a GPU: capture the search's steps as CUDA graphs, one launch each"}
    )
    subword_sampling: float = field(
        default=0.0,
        metadata={"help": "cut training text into other subwords every epoch; try 0.2 for unigram, 0.1 for bpe"},
    )
    time_stretch: float = field(
        default=0.0, metadata={"help": "audio, video: maximum change of the duration in training, as a share of it"}
    )
    time_masks: int = field(default=0, metadata={"help": "audio, video: number of SpecAugment time masks in training"})
    time_mask_share: float = field(
        default=0.1, metadata={"help": "maximum width of a time mask, as a share of the duration"}
    )
    freq_masks: int = field(default=0, metadata={"help": "audio: number of SpecAugment frequency masks in training"})
    freq_mask_width: int = field(default=15, metadata={"help": "maximum width of a frequency mask, in mel channels"})
    translate: float = field(
        default=0.0, metadata={"help": "video, image: maximum shift in training, as a share of height and width"}
    )
    flip: bool = field(default=False, metadata={"help": "video, image: mirror half of the training sources"})
    color_jitter: float = field(
        default=0.0,
        metadata={"help": "video, image: maximum change of contrast and brightness in training, in deviations"},
    )
    seed: int = II("common.seed")
    num_shards: int = II("dataset.num_shards")
    shard_id: int = II("dataset.shard_id")
