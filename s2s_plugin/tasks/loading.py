"""Dictionaries and datasets of a prepared or binarized folder."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from fairseq import utils
from fairseq.data import Dictionary, data_utils
from fairseq.data.indexed_dataset import IndexedCachedDataset
from torch import Tensor

from s2s_plugin.datasets.augment import Augmentation
from s2s_plugin.datasets.features import FeatureSource, PackedFeatures
from s2s_plugin.datasets.frontends import build_frontend, load
from s2s_plugin.datasets.manifest import Item, prepared_items
from s2s_plugin.datasets.pair import PairDataset
from s2s_plugin.datasets.views import OriginalText, SampledSubwords, TruncatedTexts
from s2s_plugin.errors import UserError
from s2s_plugin.search.shortlist import Shortlist, train_ibm1
from s2s_plugin.tasks.config import Seq2SeqTaskConfig
from s2s_plugin.text.codec import PairCodec
from s2s_plugin.utils.digests import check_digest
from s2s_plugin.utils.io import locked, read_json
from s2s_plugin.utils.untrusted import show

logger = logging.getLogger(__name__)

SOURCE_META = "source.json"  # of a folder whose source is a signal: modality, frontend, folder of the features
META = {"modality": str, "frontend": {str: (str, int, float, bool, type(None))}, "features": str}


def data_folder(cfg: Seq2SeqTaskConfig) -> Path:
    """Return the folder of the data; of several, which fairseq separates by colons, the first."""
    return Path(utils.split_paths(cfg.data)[0])


def read_source_meta(folder: Path) -> dict[str, Any]:
    """Return the modality, the frontend's config and the features' folder of a folder whose source is a signal."""
    check_digest(folder / SOURCE_META)
    return read_json(folder / SOURCE_META, META)


def infer_languages(cfg: Seq2SeqTaskConfig) -> None:
    """Set the languages of a config that lacks them, by the files of its folder.

    Raises:
        UserError: there is no such folder, or its files do not tell.
    """
    folder = data_folder(cfg)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; make it with s2s prepare or fairseq-preprocess")
    if cfg.source_lang is None or cfg.target_lang is None:
        cfg.source_lang, cfg.target_lang = data_utils.infer_language_pair(str(folder))
        if (folder / SOURCE_META).is_file():  # fairseq-preprocess has binarized the text alone, as the source
            cfg.source_lang, cfg.target_lang = cfg.target_lang, cfg.source_lang
    if cfg.source_lang is None or cfg.target_lang is None:
        raise UserError(
            f"{folder}: cannot infer the languages from its files; set task.source_lang and task.target_lang (-s, -t)"
        )


def load_dictionary(folder: Path, lang: str) -> Dictionary:
    """Return the dictionary of a language.

    Raises:
        UserError: there is no such file.
    """
    path = folder / f"dict.{lang}.txt"
    check_digest(path)
    if not path.is_file():
        raise UserError(f"{path}: no such dictionary; check the folder and the two languages")
    try:
        dictionary = Dictionary.load(str(path))
    except (OSError, MemoryError):  # not of the file
        raise
    except Exception as error:  # fairseq raises anything on a damaged file
        raise UserError(f"{path}: not a dictionary of fairseq ({show(str(error))}); make it again") from None
    logger.info("[%s] dictionary: %d types", lang, len(dictionary))
    return dictionary


def _load_binaries(path: Path, dictionary: Dictionary | None) -> Any:
    """Return the dataset of one side, as fairseq-preprocess has written it; all in memory unless that can be mapped.

    Raises:
        UserError: its files are damaged.
    """
    for name in (f"{path}.idx", f"{path}.bin"):
        check_digest(Path(name))
    try:
        dataset = data_utils.load_indexed_dataset(str(path), dictionary)
        if isinstance(dataset, IndexedCachedDataset):  # --dataset-impl lazy or cached
            dataset.prefetch(range(len(dataset)))
        return dataset
    except (OSError, MemoryError):  # not of the file
        raise
    except Exception as error:  # fairseq raises anything on a damaged file
        reason = show((str(error).splitlines() or [type(error).__name__])[0])
        raise UserError(f"{path}.idx: damaged ({reason}); run the prepare stage or fairseq-preprocess again") from None


@dataclass
class PairLoader:
    """Loads pairs of a source and a text."""

    cfg: Seq2SeqTaskConfig
    source_dictionary: Dictionary | None  # None if the source is a signal
    target_dictionary: Dictionary
    source_group: int = 1  # tokens of a source position: a word and its factors

    def __post_init__(self):
        cfg = self.cfg
        self.folder = data_folder(cfg)
        self.codec = PairCodec.load(self.folder, str(cfg.source_lang), str(cfg.target_lang))
        self.modality, self.frontend = "text", None
        if self.source_dictionary is None:
            self._meta = read_source_meta(self.folder)
            self.modality = self._meta["modality"]
            self.frontend = build_frontend(self.modality, self._meta["frontend"])

    def load(self, split: str) -> PairDataset:
        """Return a split; text in either direction of the pair.

        Raises:
            UserError: the split does not exist, or its sides do not match.
        """
        path = self._target_path(split)
        targets = _load_binaries(path, self.target_dictionary)
        sources = self._sources(split, path)
        if len(sources) != len(targets):
            raise UserError(f"{path}: {len(sources)} sources, {len(targets)} targets; run the prepare stage again")
        sources = self.truncate(sources, sources.sizes)
        if split == "train" and self.cfg.subword_sampling:
            sources, targets = self._sampled(sources, targets)
        return PairDataset(
            sources,
            sources.sizes,
            self._source_padding,
            targets,
            targets.sizes,
            self.target_dictionary,
            shuffle=split == "train",
            alignments=self._alignments(split),
            texts=self._texts(split, path, sources, targets),
            chosen=self._chosen(len(targets)) if split == "train" else None,
            source_group=self.source_group,
        )

    def _chosen(self, count: int) -> np.ndarray | None:
        """Return the numbers of the training pairs to use; those of a smaller share are among those of a larger one.

        Raises:
            UserError: the share is none.
        """
        share = self.cfg.train_share
        if not 0 < share <= 1:
            raise UserError(f"task.train_share must be in (0, 1], got {share}")
        if share == 1:
            return None
        return np.random.default_rng(self.cfg.seed).permutation(count)[: math.ceil(share * count)]

    def for_inference(self, sources: Any, lengths: Any, constraints: Tensor | None) -> PairDataset:
        """Return a dataset without targets; see fairseq's ``build_dataset_for_inference``.

        Raises:
            UserError: a constraint contains a token that the vocabulary lacks.
        """
        if constraints is not None:
            unknown = constraints[:, 1:].eq(self.target_dictionary.unk()).any(1).nonzero()
            if len(unknown):
                raise UserError(f"input line {int(unknown[0]) + 1}: its constraints contain unknown target tokens")
        sources = self.truncate(sources, np.asarray(lengths))
        sizes = np.asarray([len(source) for source in sources])
        padding, dictionary = self._source_padding, self.target_dictionary
        return PairDataset(sources, sizes, padding, None, None, dictionary, constraints=constraints)

    def of_pairs(self, sources: list[Tensor], targets: list[Tensor]) -> PairDataset:
        """Return a dataset of pairs of ids that no folder has, for inference."""
        sizes = [np.asarray([len(each) for each in side]) for side in (sources, targets)]
        sources = self.truncate(sources, sizes[0])
        read = np.asarray([len(source) for source in sources])
        return PairDataset(sources, read, self._source_padding, targets, sizes[1], self.target_dictionary)

    def shortlist(self) -> Shortlist | None:
        """Return the shortlist of ``cfg.shortlist`` candidates; learned from the training pairs if the folder has none.

        Raises:
            UserError: the source is a signal.
        """
        cfg = self.cfg
        if not cfg.shortlist:
            return None
        if self.source_dictionary is None:
            raise UserError(f"task.shortlist requires a text source, got {self.modality}")
        path = self.folder / f"shortlist.{cfg.source_lang}-{cfg.target_lang}.pt"
        if not path.is_file():
            with locked(path.with_name(f".{path.name}.lock")):
                if not path.is_file():  # no other process has just written it
                    dataset = self.load("train")
                    assert dataset.targets is not None
                    pairs = ((dataset.sources[i].numpy(), dataset.targets[i].numpy()) for i in range(len(dataset)))
                    train_ibm1(pairs, (len(self.source_dictionary), len(self.target_dictionary))).save(path)
        return Shortlist.load(path, cfg.shortlist)

    def truncate(self, sources: Any, sizes: np.ndarray) -> Any:
        """Return the sources, texts truncated to ``cfg.max_source_positions`` with ``cfg.truncate_source``."""
        if not self.cfg.truncate_source or self.frontend is not None:
            return sources
        return TruncatedTexts(sources, sizes, self.cfg.max_source_positions, self.source_group)

    def read_signal(self, path: Path) -> Tensor:
        """Return a media file as the model reads it, S x ...

        Raises:
            UserError: the file is not usable.
        """
        assert self.frontend is not None
        return self.frontend.to_tensor(load(self.frontend, Item(path.name, path, ())))

    def _target_path(self, split: str) -> Path:
        source, target = self.cfg.source_lang, self.cfg.target_lang
        for pair in (f"{source}-{target}", f"{target}-{source}"):
            path = self.folder / f"{split}.{pair}.{target}"
            if Path(f"{path}.idx").is_file() or path.is_file():  # --dataset-impl mmap, or raw
                return path
        raise UserError(f"{self.folder}: no data for split '{split}' ({split}.{source}-{target}.{target}.idx)")

    def _sources(self, split: str, target_path: Path) -> Any:
        if self.frontend is not None:
            return self._signals(split)
        path = target_path.with_suffix(f".{self.cfg.source_lang}")
        sources = _load_binaries(path, self.source_dictionary)
        if ((sources.sizes - 1) % self.source_group).any():
            raise UserError(
                f"{path}: model.encoder_factors={self.source_group - 1} requires as many factors after each token; "
                "prepare with as many subword.factors or subword.annotate"
            )
        return sources

    def _signals(self, split: str) -> FeatureSource:
        """Return a split's features; in training once for each text of an item, and augmented."""
        assert self.frontend is not None
        train = split == "train"
        manifest = self.folder / f"{split}.tsv"
        items = prepared_items(manifest)
        features = PackedFeatures(self.folder / self._meta["features"] / split).select(items, manifest)
        repeats = [len(item.texts) if train else 1 for item in items]
        augmentation = Augmentation(**{field.name: getattr(self.cfg, field.name) for field in fields(Augmentation)})
        augment = getattr(augmentation, self.modality) if train else None
        return FeatureSource(features, np.arange(len(items)).repeat(repeats), self.frontend, augment, self.cfg.seed)

    def _sampled(self, sources: Any, targets: Any) -> tuple[Any, Any]:
        """Return both sides, text in other subwords every epoch."""
        codec = self.codec
        if codec is None or codec.copy_slots or codec.target.factors or (codec.source and codec.source.factors):
            raise UserError(
                "task.subword_sampling requires text made by s2s prepare without factors, tags and subword.copy_slots"
            )
        alpha, seed = self.cfg.subword_sampling, self.cfg.seed
        if codec.source is not None:
            sources = SampledSubwords(sources, codec.source.pieces, alpha, seed)
        return sources, SampledSubwords(targets, codec.target.pieces, alpha, seed)

    def _alignments(self, split: str) -> Any:
        path = self.folder / f"{split}.align.{self.cfg.source_lang}-{self.cfg.target_lang}"
        if not Path(f"{path}.idx").is_file():
            return None
        if self.cfg.truncate_source:
            raise UserError(f"{path}: alignments require whole sources; set task.truncate_source=false")
        return _load_binaries(path, None)

    def _texts(self, split: str, target_path: Path, sources: Any, targets: Any):
        """Return both sides as ``s2s prepare`` or ``fairseq-preprocess --dataset-impl raw`` has kept them."""
        source, target, codec = str(self.cfg.source_lang), str(self.cfg.target_lang), self.codec
        if codec is None:
            paths = [target_path.with_suffix(f".{lang}") for lang in (source, target)]
            encoders: tuple[Callable[[str], str], ...] = (str, str)
        else:
            paths = [self.folder / "text" / f"{split}.{lang}" for lang in (source, target)]
            encoders = (codec.encode, codec.target.encode)
        source_text = None
        if self.source_dictionary is not None:
            source_text = OriginalText(paths[0], encoders[0], sources, self.source_dictionary, self.source_group)
        return source_text, OriginalText(paths[1], encoders[1], targets, self.target_dictionary)

    @property
    def _source_padding(self) -> float:
        return 0.0 if self.source_dictionary is None else self.source_dictionary.pad()
