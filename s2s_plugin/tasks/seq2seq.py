"""Task ``s2s``: any source to text."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Optional

import numpy as np
import torch
from fairseq import utils
from fairseq.data import Dictionary, data_utils
from fairseq.logging import metrics
from fairseq.sequence_generator import SequenceGenerator
from fairseq.tasks import FairseqTask, register_task

from s2s_plugin.datasets.augment import Augmentation
from s2s_plugin.datasets.features import FeatureSource, PackedFeatures
from s2s_plugin.datasets.frontends import build_frontend
from s2s_plugin.datasets.manifest import Item, read_manifest
from s2s_plugin.datasets.pair import PairDataset
from s2s_plugin.datasets.views import OriginalText, SampledSubwords, TruncatedTexts
from s2s_plugin.errors import UserError
from s2s_plugin.models.config import without_vector_files
from s2s_plugin.models.seq2seq import Seq2SeqModel
from s2s_plugin.scoring.validation import build_metric
from s2s_plugin.search.beam import BeamSearch
from s2s_plugin.search.build import build_search, check_replace_unk, wrap_mbr
from s2s_plugin.search.options import BeamOptions, own_options
from s2s_plugin.search.scorer import ReferenceScorer
from s2s_plugin.search.stock import DELEGATED, NGrams, is_set, refuse_idle, refuse_ours, refuse_without_targets
from s2s_plugin.tasks.config import Seq2SeqTaskConfig
from s2s_plugin.tasks.precision import in_bf16
from s2s_plugin.text.codec import PairCodec

logger = logging.getLogger(__name__)

SOURCE_META = "source.json"  # of a prepared folder whose source is a signal: modality, frontend, folder of the features


@register_task("s2s", dataclass=Seq2SeqTaskConfig)
class Seq2SeqTask(FairseqTask):
    """Trains and decodes pairs found in ``cfg.data``: ``dict.<lang>.txt`` and ``<split>.<src>-<tgt>.<lang>``.

    Where the source is a signal, ``<src>`` is audio, video or image, ``source.json`` says how files become features and
    where these are, and ``<split>.tsv`` lists the items.

    Attributes:
        folder: of the data; of several, which fairseq separates by colons, the first.
        modality: text, audio, video or image.
        frontend: of a signal; None for text.
        codec: of the prepared corpus; None for one binarised otherwise.
    """

    cfg: Seq2SeqTaskConfig
    uses_ema = True
    shards, shard = 1, 0  # of the batches

    def __init__(self, cfg: Seq2SeqTaskConfig, source_dictionary: Optional[Dictionary], target_dictionary: Dictionary):
        super().__init__(cfg)
        self._source_dictionary, self._target_dictionary = source_dictionary, target_dictionary
        self.folder = _folder(cfg)
        self.codec = PairCodec.load(self.folder, str(cfg.source_lang), str(cfg.target_lang))
        self.modality, self.frontend = "text", None
        if source_dictionary is None:
            self._source = read_source(self.folder)
            self.modality = self._source["modality"]
            self.frontend = build_frontend(self.modality, self._source["frontend"])
        self.source_group = 1  # symbols of a source token: itself and its factors
        self.metric = None if cfg.eval_metric == "none" else build_metric(cfg.eval_metric, cfg.eval_tokenizer)

    @classmethod
    def setup_task(cls, cfg: Seq2SeqTaskConfig, **_: object) -> "Seq2SeqTask":
        folder = _folder(cfg)
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; make it with `s2s prepare` or fairseq-preprocess")
        signal = (folder / SOURCE_META).is_file()
        if cfg.source_lang is None or cfg.target_lang is None:
            cfg.source_lang, cfg.target_lang = data_utils.infer_language_pair(str(folder))
            if signal:  # fairseq-preprocess has been told the text alone, as the source
                cfg.source_lang, cfg.target_lang = cfg.target_lang, cfg.source_lang
        if cfg.source_lang is None or cfg.target_lang is None:
            raise UserError(f"{folder}: cannot tell the languages from its files; give --source-lang and --target-lang")
        source = None if signal else _dictionary(folder, cfg.source_lang)
        return cls(cfg, source, _dictionary(folder, cfg.target_lang))

    @property
    def source_dictionary(self) -> Optional[Dictionary]:
        return self._source_dictionary

    @property
    def source_shape(self) -> tuple[int, ...]:
        """Of one step of a signal."""
        assert self.frontend is not None
        return self.frontend.shape

    @property
    def target_dictionary(self) -> Dictionary:
        return self._target_dictionary

    def max_positions(self) -> tuple[int, int]:
        return self.cfg.max_source_positions, self.cfg.max_target_positions

    def build_model(self, cfg, from_checkpoint: bool = False):
        self.source_group = 1 + getattr(cfg, "encoder_factors", 0)
        if from_checkpoint and "encoder_factors" in cfg:  # one of our models
            cfg = without_vector_files(cfg)
        return super().build_model(cfg, from_checkpoint)

    # ---------------------------------------------------------------- data

    def load_dataset(self, split: str, combine: bool = False, task_cfg: object = None, **_: object) -> None:
        """Read ``<split>``; text in either direction of the pair.

        Args:
            task_cfg: that of the training, which fairseq-generate gives, and fairseq-train does not.

        Raises:
            UserError: the split is not there, its sides differ in length, or there is no such shard.
        """
        if task_cfg is not None:
            self.shards, self.shard = self.cfg.num_shards, self.cfg.shard_id
            if not 0 <= self.shard < self.shards:
                raise UserError(f"--shard-id {self.shard} of --num-shards {self.shards}: shards are counted from 0")
        folder, source, target = self.folder, self.cfg.source_lang, self.cfg.target_lang
        for pair in (f"{source}-{target}", f"{target}-{source}"):
            path = folder / f"{split}.{pair}.{target}"
            if Path(f"{path}.idx").is_file() or path.is_file():  # --dataset-impl mmap, or raw
                break
        else:
            raise UserError(f"{folder}: no data for split '{split}' ({split}.{source}-{target}.{target}.idx)")
        targets = data_utils.load_indexed_dataset(str(path), self.target_dictionary)
        if self.frontend is None:
            sources = data_utils.load_indexed_dataset(str(path.with_suffix(f".{source}")), self.source_dictionary)
            if ((sources.sizes - 1) % self.source_group).any():
                raise UserError(
                    f"{path.with_suffix(f'.{source}')}: not each token is followed by model.encoder_factors="
                    f"{self.source_group - 1} factors; prepare with as many subword.factors"
                )
        else:
            sources = self._signals(split)
        if len(sources) != len(targets):
            raise UserError(f"{path}: {len(sources)} sources but {len(targets)} targets; run the prepare stage again")
        sources = self.truncated(sources, sources.sizes)
        if split == "train" and self.cfg.subword_sampling:
            sources, targets = self._sampled(sources, targets)
        aligned = folder / f"{split}.align.{source}-{target}"
        alignments = None
        if Path(f"{aligned}.idx").is_file():
            if self.cfg.truncate_source:
                raise UserError(f"{aligned}: alignments are of whole sources; set task.truncate_source=false")
            alignments = data_utils.load_indexed_dataset(str(aligned), None)
        self.datasets[split] = PairDataset(
            sources,
            sources.sizes,
            self._source_padding,
            targets,
            targets.sizes,
            self.target_dictionary,
            shuffle=split == "train",
            alignments=alignments,
            texts=self._texts(split, pair, sources, targets),
        )

    def _texts(self, split: str, pair: str, sources, targets) -> tuple[OriginalText | None, OriginalText]:
        """Both sides as ``s2s prepare`` or ``fairseq-preprocess --dataset-impl raw`` has left them."""
        source, target, codec = str(self.cfg.source_lang), str(self.cfg.target_lang), self.codec
        paths = [
            self.folder / (f"{split}.{pair}.{lang}" if codec is None else f"text/{split}.{lang}")
            for lang in (source, target)
        ]
        encoders = (str, str) if codec is None else (codec.encode, codec.target.encode)
        source_text = None
        if self.source_dictionary is not None:
            source_text = OriginalText(paths[0], encoders[0], sources, self.source_dictionary, self.source_group)
        return source_text, OriginalText(paths[1], encoders[1], targets, self.target_dictionary)

    def _sampled(self, sources, targets):
        """Both sides, where they are text, in other subwords every epoch."""
        codec = self.codec
        if codec is None or codec.copy_slots or (codec.source and codec.source.factors):
            raise UserError(
                "task.subword_sampling cuts text that s2s prepare has made, without subword.factors and "
                "subword.copy_slots; leave it out for this data"
            )
        alpha, seed = self.cfg.subword_sampling, self.cfg.seed
        if codec.source is not None:
            sources = SampledSubwords(sources, codec.source.pieces, alpha, seed)
        return sources, SampledSubwords(targets, codec.target.pieces, alpha, seed)

    def _signals(self, split: str) -> FeatureSource:
        """Features of a split's items; in training once for each text of an item, and augmented."""
        assert self.frontend is not None
        folder, train = self.folder, split == "train"
        features = PackedFeatures(folder / self._source["features"] / split)
        _, items = read_manifest(folder / f"{split}.tsv")
        if [item.id for item in items] != features.ids:
            raise UserError(
                f"{folder}/{split}.tsv: lists other items than {features.path}; run the prepare stage again"
            )
        repeats = [len(item.texts) if train else 1 for item in items]
        augmentation = Augmentation(**{name: getattr(self.cfg, name) for name in Augmentation.__dataclass_fields__})
        augment = augmentation.for_modality(self.modality) if train else None
        return FeatureSource(features, np.arange(len(items)).repeat(repeats), self.frontend, augment, self.cfg.seed)

    @property
    def _source_padding(self) -> float:
        return 0.0 if self.source_dictionary is None else self.source_dictionary.pad()

    def build_dataset_for_inference(self, src_tokens, src_lengths, constraints=None) -> PairDataset:
        """
        Raises:
            UserError: a constraint holds what the vocabulary lacks.
        """
        if constraints is not None:
            lacking = constraints[:, 1:].eq(self.target_dictionary.unk()).any(1).nonzero()
            if len(lacking):
                line = int(lacking[0]) + 1
                raise UserError(f"line {line} of these: its constraints hold words that the target's vocabulary lacks")
        sources = self.truncated(src_tokens, np.asarray(src_lengths))
        sizes = np.asarray([len(source) for source in sources])
        return PairDataset(
            sources, sizes, self._source_padding, None, None, self.target_dictionary, constraints=constraints
        )

    def truncated(self, sources, sizes: np.ndarray):
        """The sources, or with ``cfg.truncate_source`` the beginnings of those that are texts."""
        if not self.cfg.truncate_source or self.frontend is not None:
            return sources
        return TruncatedTexts(sources, sizes, self.cfg.max_source_positions, self.source_group)

    def get_interactive_tokens_and_lengths(self, lines, encode_fn):
        """Lines of text, or names of media files where the source is a signal."""
        if self.frontend is None:
            return super().get_interactive_tokens_and_lengths(lines, encode_fn)
        sources = [self.read_signal(Path(line)) for line in lines]
        return sources, [len(source) for source in sources]

    def read_signal(self, path: Path, box: str = ""):
        """A media file as the model reads it, S x ...

        Raises:
            UserError: the file is not usable.
        """
        assert self.frontend is not None
        return self.frontend.to_tensor(self.frontend.load(Item(path.name, path, (), box=box)))

    def get_batch_iterator(
        self, dataset, *args, required_batch_size_multiple=1, num_workers=0, data_buffer_size=0, **kwargs
    ):
        """fairseq's iterator, without three of its habits.

        It drops what does not fill a multiple of 8, also when generating. Its read-ahead thread, still running when
        the command ends, can abort the process; without workers there is nothing to read ahead. And
        fairseq-generate does not hand on ``--num-shards``: each shard would be the whole.
        """
        if self.shards > 1:
            kwargs |= {"num_shards": self.shards, "shard_id": self.shard}
        iterator = super().get_batch_iterator(
            dataset,
            *args,
            required_batch_size_multiple=1,
            num_workers=num_workers,
            data_buffer_size=data_buffer_size if num_workers else 0,
            **kwargs,
        )
        if self.shards > 1 and self.shards > len(iterator.frozen_batches):  # fairseq divides by an empty shard's time
            raise UserError(
                f"--num-shards {self.shards}: there are but {len(iterator.frozen_batches)} batches; ask for as many "
                "shards, or smaller batches with --batch-size"
            )
        return iterator

    def build_bpe(self, args):
        """The prepared corpus's own codec, unless ``--bpe`` names another."""
        return self.codec if getattr(args, "_name", None) is None else super().build_bpe(args)

    # -------------------------------------------------------------- search

    def build_generator(self, models, args, seq_gen_cls=None, extra_gen_cls_kwargs=None, prefix_allowed_tokens_fn=None):
        """Our search; fairseq's own for other architectures and for what ours does not do.

        Raises:
            UserError: an option would silently do nothing.
        """
        refuse_idle(args)
        if extra_gen_cls_kwargs is None:  # what fairseq-generate alone gives
            refuse_without_targets(args)
        if getattr(args, "replace_unk", None) is not None:
            check_replace_unk(self, models)
        foreign = [type(model).__name__ for model in models if not isinstance(model, Seq2SeqModel)]
        options = BeamOptions.from_config(args, self.cfg)
        if getattr(args, "score_reference", False) and not foreign:
            return ReferenceScorer(self.target_dictionary, options)
        left = [f"--{name.replace('_', '-')}" for name in DELEGATED if is_set(args, name)]
        left += ["prefix_allowed_tokens_fn"] * (prefix_allowed_tokens_fn is not None)
        if not left and not foreign and seq_gen_cls is None:
            return build_search(self, models, options)
        reasons = left + foreign or [seq_gen_cls.__name__]
        refuse_ours(args, {name: value for name, value in own_options(self.cfg).items() if name != "mbr"}, reasons)
        logger.info("fairseq's own search is used for: %s", ", ".join(reasons))
        search = super().build_generator(models, args, seq_gen_cls, extra_gen_cls_kwargs, prefix_allowed_tokens_fn)
        if options.no_repeat_ngram_size > 0:
            search.repeat_ngram_blocker = NGrams(options.no_repeat_ngram_size)
        return wrap_mbr(self, search, options)

    # ------------------------------------------------------------ training

    def train_step(self, sample, model, criterion, optimizer, update_num, ignore_grad=False, ema_model=None):
        if hasattr(criterion, "set_num_updates"):
            criterion.set_num_updates(update_num)
        parameter = next(model.parameters())
        if not in_bf16(self.cfg.precision, parameter.device) or parameter.dtype != torch.float32:
            return super().train_step(sample, model, criterion, optimizer, update_num, ignore_grad)
        model.train()
        model.set_num_updates(update_num)
        with torch.autocast(parameter.device.type, torch.bfloat16):  # which fairseq's own step would end on a GPU
            loss, sample_size, logging_output = criterion(model, sample)
        if ignore_grad:
            loss *= 0
        optimizer.backward(loss)
        return loss, sample_size, logging_output

    # ---------------------------------------------------- metrics in the loop

    def valid_step(self, sample, model, criterion, ema_model=None):
        """With ``ema.store_ema``, what is validated is the moving average of the weights, ``ema_model``."""
        model = model if ema_model is None else ema_model.eval()
        loss, sample_size, logging_output = super().valid_step(sample, model, criterion)
        if self.metric is not None:
            longest = {"max_len_a": 1.5, "max_len_b": 10} if self.frontend is None else {"max_len_b": 200}
            if self.cfg.eval_max_len is not None:
                longest = {"max_len_a": 0.0, "max_len_b": self.cfg.eval_max_len}
            if hasattr(getattr(model, "decoder", None), "rnn"):  # ours, also within what several devices need
                own = SimpleNamespace(ctc_search_weight=self.cfg.ctc_search_weight)
                options = BeamOptions.from_config(SimpleNamespace(beam=self.cfg.eval_beam, **longest), own)
                search = BeamSearch([model], self.target_dictionary, options)
            else:
                search = SequenceGenerator([model], self.target_dictionary, beam_size=self.cfg.eval_beam, **longest)
            hypotheses = self.inference_step(search, [model], sample)
            pairs = [
                (self.text(h[0]["tokens"]), self.text(t)) for h, t in zip(hypotheses, sample["target"], strict=True)
            ]
            # Plain integers: numpy's would make the checkpoint refuse torch's safe loader.
            logging_output |= {f"_metric_{i}": value for i, value in enumerate(self.metric.statistics(pairs))}
        return loss, sample_size, logging_output

    def reduce_metrics(self, logging_outputs, criterion):
        super().reduce_metrics(logging_outputs, criterion)
        names = [name for name in (logging_outputs[0] if logging_outputs else ()) if name.startswith("_metric_")]
        for name in names:
            metrics.log_scalar(name, int(sum(log.get(name, 0) for log in logging_outputs)))
        if names:
            metric = self.metric
            assert metric is not None

            def value(meters) -> float:
                return round(metric.value([int(meters[name].sum) for name in names]), 2)

            metrics.log_derived(str(self.cfg.eval_metric), value)

    def text(self, tokens: torch.Tensor) -> str:
        """Ids of one target to text: detokenised where the prepared corpus has a codec, else its symbols."""
        symbols = self.target_dictionary.string(utils.strip_pad(tokens, self.target_dictionary.pad()).int().cpu())
        return symbols if self.codec is None else self.codec.decode(symbols)


def read_source(folder: Path) -> dict:
    """Modality, frontend and folder of features of a prepared folder whose source is a signal."""
    return json.loads((folder / SOURCE_META).read_text(encoding="utf-8"))


def _folder(cfg: Seq2SeqTaskConfig) -> Path:
    return Path(utils.split_paths(cfg.data)[0])


def _dictionary(folder: Path, lang: str) -> Dictionary:
    path = folder / f"dict.{lang}.txt"
    if not path.is_file():
        raise UserError(f"{path}: no such dictionary; check the folder and the two languages")
    dictionary = Dictionary.load(str(path))
    logger.info("[%s] dictionary: %d types", lang, len(dictionary))
    return dictionary
