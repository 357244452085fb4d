"""Task ``s2s``: any source to text."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

import numpy as np
import torch
from fairseq import utils
from fairseq.data import Dictionary, data_utils
from fairseq.data.indexed_dataset import get_available_dataset_impl
from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from fairseq.logging import metrics
from fairseq.tasks import FairseqTask, register_task
from omegaconf import MISSING
from sacrebleu.metrics import BLEU

from s2s_plugin.datasets.codec import PairCodec
from s2s_plugin.datasets.pair import PairDataset
from s2s_plugin.errors import UserError
from s2s_plugin.models.seq2seq import Seq2SeqModel
from s2s_plugin.search.beam import BeamOptions, BeamSearch

logger = logging.getLogger(__name__)

# Options of fairseq's search that ours does not implement; each with the value that means "not asked for".
STOCK_SEARCH_OPTIONS = {
    "sampling": False,
    "diverse_beam_groups": -1,
    "diversity_rate": -1.0,
    "match_source_len": False,
    "constraints": None,
    "prefix_allowed_tokens_fn": None,
    "lm_path": None,
    "score_reference": False,
}


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
    max_target_positions: int = field(default=1024, metadata={"help": "longest target, in symbols"})
    precision: ChoiceEnum(["auto", "fp32", "bf16"]) = field(  # type: ignore[valid-type]
        default="auto",
        metadata={
            "help": "of matrix products in training; weights stay float32. auto: bf16 on a CPU made for it, else fp32"
        },
    )
    eval_metric: ChoiceEnum(["none", "bleu"]) = field(  # type: ignore[valid-type]
        default="none", metadata={"help": "decode the validation set and log this metric as valid_<metric>"}
    )
    eval_tokenizer: str = field(default="13a", metadata={"help": "sacrebleu's tokenizer for that metric"})
    eval_beam: int = field(default=1, metadata={"help": "beam size of that decoding"})


@register_task("s2s", dataclass=Seq2SeqTaskConfig)
class Seq2SeqTask(FairseqTask):
    """Trains and decodes pairs found in ``cfg.data``: ``dict.<lang>.txt`` and ``<split>.<src>-<tgt>.<lang>``."""

    cfg: Seq2SeqTaskConfig

    def __init__(self, cfg: Seq2SeqTaskConfig, source_dictionary: Dictionary, target_dictionary: Dictionary):
        super().__init__(cfg)
        self._source_dictionary, self._target_dictionary = source_dictionary, target_dictionary
        self.codec = PairCodec.load(_folder(cfg), str(cfg.source_lang), str(cfg.target_lang))

    @classmethod
    def setup_task(cls, cfg: Seq2SeqTaskConfig, **_: object) -> "Seq2SeqTask":
        folder = _folder(cfg)
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; make it with `s2s prepare` or fairseq-preprocess")
        if cfg.source_lang is None or cfg.target_lang is None:
            cfg.source_lang, cfg.target_lang = data_utils.infer_language_pair(str(folder))
        if cfg.source_lang is None or cfg.target_lang is None:
            raise UserError(f"{folder}: cannot tell the languages from its files; give --source-lang and --target-lang")
        dictionaries = [_dictionary(folder / f"dict.{lang}.txt") for lang in (cfg.source_lang, cfg.target_lang)]
        for lang, dictionary in zip((cfg.source_lang, cfg.target_lang), dictionaries, strict=True):
            logger.info("[%s] dictionary: %d types", lang, len(dictionary))
        return cls(cfg, *dictionaries)

    @property
    def source_dictionary(self) -> Dictionary:
        return self._source_dictionary

    @property
    def target_dictionary(self) -> Dictionary:
        return self._target_dictionary

    def max_positions(self) -> tuple[int, int]:
        return self.cfg.max_source_positions, self.cfg.max_target_positions

    # ---------------------------------------------------------------- data

    def load_dataset(self, split: str, combine: bool = False, **_: object) -> None:
        """Read ``<split>`` in either direction of the pair.

        Raises:
            UserError: the split is not there, or its sides differ in length.
        """
        folder, source, target = _folder(self.cfg), self.cfg.source_lang, self.cfg.target_lang
        for pair in (f"{source}-{target}", f"{target}-{source}"):
            sides = [str(folder / f"{split}.{pair}.{lang}") for lang in (source, target)]
            if get_available_dataset_impl() and Path(sides[0] + ".idx").is_file():
                break
        else:
            raise UserError(f"{folder}: no data for split '{split}' ({split}.{source}-{target}.{source}.idx)")
        dictionaries = (self.source_dictionary, self.target_dictionary)
        sources, targets = (
            data_utils.load_indexed_dataset(path, dictionary)
            for path, dictionary in zip(sides, dictionaries, strict=True)
        )
        if targets is not None and len(sources) != len(targets):
            raise UserError(
                f"{sides[0]}: {len(sources)} sources but {len(targets)} targets; run the prepare stage again"
            )
        self.datasets[split] = PairDataset(
            sources,
            sources.sizes,
            self.source_dictionary.pad(),
            targets,
            None if targets is None else targets.sizes,
            self.target_dictionary,
            shuffle=split == "train",
        )

    def build_dataset_for_inference(self, src_tokens, src_lengths, constraints=None) -> PairDataset:
        if constraints is not None:
            raise UserError("--constraints is not supported by the task s2s")
        sizes = np.asarray([int(length) for length in src_lengths])
        return PairDataset(src_tokens, sizes, self.source_dictionary.pad(), None, None, self.target_dictionary)

    def get_batch_iterator(
        self, dataset, *args, required_batch_size_multiple=1, num_workers=0, data_buffer_size=0, **kwargs
    ):
        """fairseq's iterator, without two of its habits.

        It drops what does not fill a multiple of 8, also when generating. And its read-ahead thread, still
        running when the command ends, can abort the process; without workers there is nothing to read ahead.
        """
        return super().get_batch_iterator(
            dataset,
            *args,
            required_batch_size_multiple=1,
            num_workers=num_workers,
            data_buffer_size=data_buffer_size if num_workers else 0,
            **kwargs,
        )

    def build_bpe(self, args):
        """The prepared corpus's own codec, unless ``--bpe`` names another."""
        return self.codec if getattr(args, "_name", None) is None else super().build_bpe(args)

    # -------------------------------------------------------------- search

    def build_generator(self, models, args, seq_gen_cls=None, extra_gen_cls_kwargs=None, prefix_allowed_tokens_fn=None):
        """Our search; fairseq's own for other architectures and for what ours does not do."""
        asked = [
            name
            for name, unset in STOCK_SEARCH_OPTIONS.items()
            if getattr(args, name, unset) not in (unset, None)
            or (prefix_allowed_tokens_fn and name.startswith("prefix"))
        ]
        foreign = [type(model).__name__ for model in models if not isinstance(model, Seq2SeqModel)]
        if not asked and not foreign and seq_gen_cls is None:
            return BeamSearch(models, self.target_dictionary, BeamOptions.of(args))
        logger.info("fairseq's own search is used for: %s", ", ".join(asked + foreign) or seq_gen_cls.__name__)
        return super().build_generator(models, args, seq_gen_cls, extra_gen_cls_kwargs, prefix_allowed_tokens_fn)

    # ------------------------------------------------------------ training

    def train_step(self, sample, model, criterion, optimizer, update_num, ignore_grad=False):
        parameter = next(model.parameters())
        fast = self.cfg.precision == "bf16" or (
            self.cfg.precision == "auto" and parameter.device.type == "cpu" and _cpu_multiplies_bf16()
        )
        with torch.autocast(parameter.device.type, torch.bfloat16, fast and parameter.dtype == torch.float32):
            return super().train_step(sample, model, criterion, optimizer, update_num, ignore_grad)

    # ---------------------------------------------------- metrics in the loop

    def valid_step(self, sample, model, criterion):
        loss, sample_size, logging_output = super().valid_step(sample, model, criterion)
        if self.cfg.eval_metric == "bleu":
            options = BeamOptions(beam=self.cfg.eval_beam, max_len_a=1.5, max_len_b=10)
            search = BeamSearch([model], self.target_dictionary, options)
            hypotheses = self.inference_step(search, [model], sample)
            pairs = [
                (self._text(h[0]["tokens"]), self._text(t)) for h, t in zip(hypotheses, sample["target"], strict=True)
            ]
            bleu = BLEU(tokenize=self.cfg.eval_tokenizer)
            result = bleu.corpus_score([pair[0] for pair in pairs], [[pair[1] for pair in pairs]])
            statistics = [result.sys_len, result.ref_len, *result.counts, *result.totals]
            # Plain integers: numpy's would make the checkpoint refuse torch's safe loader.
            logging_output |= {f"_bleu_{i}": int(value) for i, value in enumerate(statistics)}
        return loss, sample_size, logging_output

    def reduce_metrics(self, logging_outputs, criterion):
        super().reduce_metrics(logging_outputs, criterion)
        if any("_bleu_0" in log for log in logging_outputs):
            for i in range(10):
                metrics.log_scalar(f"_bleu_{i}", int(sum(log.get(f"_bleu_{i}", 0) for log in logging_outputs)))
            metrics.log_derived("bleu", _bleu)

    def _text(self, tokens) -> str:
        """Ids of one target to text."""
        symbols = self.target_dictionary.string(utils.strip_pad(tokens, self.target_dictionary.pad()).int().cpu())
        return symbols if self.codec is None else self.codec.decode(symbols)


def _bleu(meters) -> float:
    """Corpus BLEU from the sums that ``valid_step`` logged."""
    sys_len, ref_len, *rest = (int(meters[f"_bleu_{i}"].sum) for i in range(10))
    result = BLEU.compute_bleu(rest[:4], rest[4:], sys_len, ref_len, smooth_method="exp")
    return round(result.score, 2)


def _cpu_multiplies_bf16() -> bool:
    """Whether bf16 is the faster format here (measured 2.2 times on a 2-core AVX512-BF16 machine)."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, check, lambda: False)() for check in checks)


def _folder(cfg: Seq2SeqTaskConfig) -> Path:
    return Path(utils.split_paths(cfg.data)[0])


def _dictionary(path: Path) -> Dictionary:
    if not path.is_file():
        raise UserError(f"{path}: no such dictionary; check the folder and the two languages")
    return Dictionary.load(str(path))
