"""Task ``s2s``: any source to text."""

import logging
from pathlib import Path
from typing import Optional

import torch
from fairseq.data import Dictionary
from fairseq.tasks import FairseqTask, register_task

from s2s_plugin.datasets.pair import PairDataset
from s2s_plugin.errors import UserError
from s2s_plugin.models.config import without_vector_files
from s2s_plugin.models.seq2seq import Seq2SeqModel
from s2s_plugin.scoring.rewards import build_reward
from s2s_plugin.search.build import Copies, NGramBlocker, build_search, check_replace_unk
from s2s_plugin.search.knn.datastore import Datastore
from s2s_plugin.search.mbr import MinimumBayesRisk
from s2s_plugin.search.options import BeamOptions, check_delegated, check_generation, check_without_targets, delegated
from s2s_plugin.search.scorer import ReferenceScorer
from s2s_plugin.tasks.config import Seq2SeqTaskConfig, search_options
from s2s_plugin.tasks.loading import SOURCE_META, PairLoader, data_folder, infer_languages, load_dictionary
from s2s_plugin.tasks.precision import use_bf16
from s2s_plugin.tasks.validation import TargetText, ValidationMetric
from s2s_plugin.utils.kernels import keep_few_kernels

logger = logging.getLogger(__name__)


@register_task("s2s", dataclass=Seq2SeqTaskConfig)
class Seq2SeqTask(FairseqTask):
    """Train on and decode the pairs in ``cfg.data``: ``dict.<lang>.txt`` and ``<split>.<src>-<tgt>.<lang>``.

    Where the source is a signal, ``<src>`` is audio, video or image, ``source.json`` says how files become features and
    where these are, and ``<split>.tsv`` lists the items.

    Attributes:
        loader: of the datasets.
        modality: text, audio, video or image.
        frontend: of a signal; None for text.
        codec: of the prepared corpus; None for one binarized otherwise.
        text: decodes ids of the target.
        inference_copies: of models whose weights do not change, shared by all searches; None makes new ones for each.
    """

    cfg: Seq2SeqTaskConfig
    uses_ema = True
    num_shards, shard_id = 1, 0  # of the batches
    inference_copies: Optional[Copies] = None

    def __init__(self, cfg: Seq2SeqTaskConfig, source_dictionary: Optional[Dictionary], target_dictionary: Dictionary):
        super().__init__(cfg)
        self.loader = PairLoader(cfg, source_dictionary, target_dictionary)
        self.codec, self.modality, self.frontend = self.loader.codec, self.loader.modality, self.loader.frontend
        self.text = TargetText(target_dictionary, self.codec)
        self.metric = None
        if cfg.eval_metric != "none":
            self.metric = ValidationMetric(cfg, self.text, self.frontend is not None)

    @classmethod
    def setup_task(cls, cfg: Seq2SeqTaskConfig, **_: object) -> "Seq2SeqTask":
        """Return the task with the dictionaries of its folder."""
        infer_languages(cfg)
        folder = data_folder(cfg)
        is_signal = (folder / SOURCE_META).is_file()
        source = None if is_signal else load_dictionary(folder, str(cfg.source_lang))
        return cls(cfg, source, load_dictionary(folder, str(cfg.target_lang)))

    @property
    def source_dictionary(self) -> Optional[Dictionary]:
        """Dictionary of a text source."""
        return self.loader.source_dictionary

    @property
    def target_dictionary(self) -> Dictionary:
        """Dictionary of the target."""
        return self.loader.target_dictionary

    @property
    def source_shape(self) -> tuple[int, ...]:
        """Shape of one step of a signal."""
        assert self.frontend is not None
        return self.frontend.shape

    def max_positions(self) -> tuple[int, int]:
        """Return the maximum lengths of source and target."""
        return self.cfg.max_source_positions, self.cfg.max_target_positions

    def build_model(self, cfg, from_checkpoint: bool = False):
        """Build the model; its factors decide how sources are read."""
        self.loader.source_group = 1 + getattr(cfg, "encoder_factors", 0)
        if from_checkpoint and "encoder_factors" in cfg:  # one of our models
            cfg = without_vector_files(cfg)
        return super().build_model(cfg, from_checkpoint)

    def build_criterion(self, cfg, from_checkpoint: bool = False):
        """Build the criterion; a process that has one trains or validates, on batches of ever new shapes."""
        keep_few_kernels()
        return super().build_criterion(cfg, from_checkpoint)

    # ---------------------------------------------------------------- data

    def load_dataset(self, split: str, combine: bool = False, task_cfg: object = None, **_: object) -> None:
        """Load a split; only fairseq-generate passes ``task_cfg``, the training's.

        Raises:
            UserError: the split is not usable, or there is no such shard.
        """
        if task_cfg is not None:
            self.num_shards, self.shard_id = self.cfg.num_shards, self.cfg.shard_id
            if not 0 <= self.shard_id < self.num_shards:
                rule = f"dataset.shard_id must be in [0, dataset.num_shards={self.num_shards})"
                raise UserError(f"{rule}, got {self.shard_id}")
        self.datasets[split] = dataset = self.loader.load(split)
        if self.metric is not None and split != "train":  # whose items may come from several files
            dataset.references = self.metric.read_references(self.loader.folder, split, dataset)

    def build_dataset_for_inference(self, src_tokens, src_lengths, constraints=None) -> PairDataset:
        """Return a dataset of sources alone."""
        return self.loader.for_inference(src_tokens, src_lengths, constraints)

    def get_interactive_tokens_and_lengths(self, lines, encode_fn):
        """Read lines of text, or names of media files where the source is a signal."""
        if self.frontend is None:
            return super().get_interactive_tokens_and_lengths(lines, encode_fn)
        sources = [self.loader.read_signal(Path(line)) for line in lines]
        return sources, [len(source) for source in sources]

    def get_batch_iterator(
        self, dataset, *args, required_batch_size_multiple=1, num_workers=0, data_buffer_size=0, **kwargs
    ):
        """Return fairseq's iterator, with three corrections.

        It drops what does not fill a multiple of 8, also when generating. Its read-ahead thread, still running when
        the command ends, can abort the process; without workers there is nothing to read ahead. And
        fairseq-generate does not pass on ``--num-shards``: each shard would be the whole.
        """
        if self.num_shards > 1:
            kwargs |= {"num_shards": self.num_shards, "shard_id": self.shard_id}
        iterator = super().get_batch_iterator(
            dataset,
            *args,
            required_batch_size_multiple=1,
            num_workers=num_workers,
            data_buffer_size=data_buffer_size if num_workers else 0,
            **kwargs,
        )
        if 1 < self.num_shards > len(iterator.frozen_batches):  # fairseq would divide by an empty shard's time
            rule = f"dataset.num_shards must be at most the number of batches, {len(iterator.frozen_batches)}"
            raise UserError(f"{rule}, got {self.num_shards}; dataset.batch_size (--batch-size) makes smaller batches")
        return iterator

    def build_bpe(self, args):
        """Return the prepared corpus's codec, unless ``--bpe`` names another."""
        return self.codec if getattr(args, "_name", None) is None else super().build_bpe(args)

    # -------------------------------------------------------------- search

    def build_generator(self, models, args, seq_gen_cls=None, extra_gen_cls_kwargs=None, prefix_allowed_tokens_fn=None):
        """Return our search, or fairseq's own for other architectures and for options that ours delegates.

        Raises:
            UserError: an option would have no effect.
        """
        check_generation(args)
        if extra_gen_cls_kwargs is None:  # only fairseq-generate passes it
            check_without_targets(args)
        if getattr(args, "replace_unk", None) is not None:
            check_replace_unk(models, self.modality, self.codec is None or self.codec.whole_words)
        foreign = [type(model).__name__ for model in models if not isinstance(model, Seq2SeqModel)]
        options = BeamOptions.from_config(args, self.cfg)
        if getattr(args, "score_reference", False) and not foreign:
            return ReferenceScorer(self.target_dictionary, options)
        reasons = delegated(args) + foreign
        reasons += ["prefix_allowed_tokens_fn"] * (prefix_allowed_tokens_fn is not None)
        reasons += [] if seq_gen_cls is None else [seq_gen_cls.__name__]
        if not reasons:
            precision, shortlist = str(self.cfg.search_precision), self.loader.shortlist()
            datastore = None if self.cfg.knn is None else Datastore(Path(self.cfg.knn))
            search = build_search(
                models, self.target_dictionary, options, precision, shortlist, datastore, self.inference_copies
            )
        else:
            check_delegated(args, search_options(self.cfg), reasons)
            logger.info("fairseq's own search is used for: %s", ", ".join(reasons))
            search = super().build_generator(models, args, seq_gen_cls, extra_gen_cls_kwargs, prefix_allowed_tokens_fn)
            if options.no_repeat_ngram_size > 0:
                search.repeat_ngram_blocker = NGramBlocker(options.no_repeat_ngram_size)
        if options.mbr == "none":
            return search
        reward = build_reward(str(options.mbr), self.cfg.eval_tokenizer)
        return MinimumBayesRisk(search, reward, self.text, options.sampling)

    # ------------------------------------------------------------ training

    def train_step(self, sample, model, criterion, optimizer, update_num, ignore_grad=False, ema_model=None):
        """Run forward and backward, with matrix products in the precision of the config."""
        if hasattr(criterion, "set_num_updates"):
            criterion.set_num_updates(update_num)
        parameter = next(model.parameters())
        if not use_bf16(self.cfg.precision, parameter.device) or parameter.dtype != torch.float32:
            return super().train_step(sample, model, criterion, optimizer, update_num, ignore_grad)
        model.train()
        model.set_num_updates(update_num)
        with torch.autocast(parameter.device.type, torch.bfloat16):  # fairseq's own step would end it on a GPU
            loss, sample_size, logging_output = criterion(model, sample)
        if ignore_grad:
            loss *= 0
        optimizer.backward(loss)
        return loss, sample_size, logging_output

    def valid_step(self, sample, model, criterion, ema_model=None):
        """Compute the loss and, with ``cfg.eval_metric``, decode; with ``ema.store_ema`` by the EMA weights."""
        model = model if ema_model is None else ema_model.eval()
        loss, sample_size, logging_output = super().valid_step(sample, model, criterion)
        if not torch.isfinite(loss).all():
            raise FloatingPointError(f"the validation loss is {loss}")
        if self.metric is not None:
            hypotheses = self.inference_step(self.metric.build_search(model), [model], sample)
            logging_output |= self.metric.statistics(hypotheses, sample)
        return loss, sample_size, logging_output

    def reduce_metrics(self, logging_outputs, criterion):
        """Log the criterion's metrics and the decoded one."""
        super().reduce_metrics(logging_outputs, criterion)
        if self.metric is not None:
            self.metric.log(logging_outputs)
