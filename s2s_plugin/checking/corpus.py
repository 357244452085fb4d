"""The rows of a corpus, split by split, as the readers of ``corpora`` yield them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig, ListConfig

from s2s_plugin.corpora import tables
from s2s_plugin.corpora.directions import SPLIT_PREFIXES
from s2s_plugin.corpora.lines import Side
from s2s_plugin.corpora.own_files import check_own_files
from s2s_plugin.corpora.parallel import read_rows
from s2s_plugin.corpora.recipe import run_recipe
from s2s_plugin.datasets.manifest import MODALITIES
from s2s_plugin.errors import UserError

PREFIXES = {"train": "", "extra": "extra_", **{name: prefix for name, prefix in SPLIT_PREFIXES.items() if prefix}}
# What leaks: training, then validation, then test. A row of a lower part must not be in a higher one.
PARTS = {"train": 0, "extra": 0, "valid": 1, "test": 2}


class Row(NamedTuple):
    """A pair and where it is."""

    split: str
    file: str
    number: int  # of the line or row in the file, from 1
    sides: list[Side]  # source and target; an unusable one is the error that it is


def is_signal(cfg: DictConfig) -> bool:
    """Return whether the sources are recordings, videos or pictures."""
    return cfg.data.source_lang in MODALITIES


def locate(cfg: DictConfig, work: Path) -> DictConfig:
    """Return the config with the corpus as tables or as two files of text in each split.

    A recipe makes its corpus in the folder ``work``. Of a manifest, the files and the texts are the columns.

    Raises:
        UserError: files are missing or exclude each other, or it is another kind of corpus.
    """
    cfg = cfg.copy()
    if cfg.data.recipe is not None:
        _name_files(cfg, run_recipe(cfg, work / cfg.data.name))
    else:
        check_own_files(cfg.data)
    if cfg.data.dialogues is not None:
        raise UserError("s2s check reads pairs, got data.dialogues; check what prepare makes of it: s2s check FOLDER")
    if any(isinstance(cfg.data[f"{prefix}source"], ListConfig) for prefix in PREFIXES.values()):
        raise UserError("s2s check reads one direction, got several files for a side; check one at a time")
    if cfg.data.manifest is not None:
        for prefix in SPLIT_PREFIXES.values():
            cfg.data[f"{prefix}pairs"] = cfg.data[f"{prefix}manifest"]
        cfg.data.update(source_column=cfg.data.source_lang, target_column="tgt_text")
    return cfg


def _name_files(cfg: DictConfig, corpus: Path) -> None:
    """Let the options for own files name those of a corpus that a recipe has written."""
    source, target = cfg.data.source_lang, cfg.data.target_lang
    for split, prefix in SPLIT_PREFIXES.items():
        if is_signal(cfg):
            cfg.data[f"{prefix}manifest"] = str(corpus / f"{split}.tsv")
        else:
            cfg.data[f"{prefix}source"] = str(corpus / f"{split}.{source}")
            cfg.data[f"{prefix}target"] = str(corpus / f"{split}.{target}")


def read_corpus(cfg: DictConfig) -> Iterator[Row]:
    """Yield all rows of a corpus of :func:`locate`: training, extra, validation, test."""
    for split, prefix in PREFIXES.items():
        for where, sides in read_rows(cfg, prefix):
            file, _, number = where.rpartition(":")
            yield Row(split, file, int(number), sides)


def files_of(cfg: DictConfig, prefix: str) -> Iterator[list[tuple[Path, Path]]]:
    """Yield the files of a split with their names in the copy: both sides of text together, tables one by one."""
    if (table := tables.find(cfg.data, prefix)) is not None:
        top = Path(cfg.data[f"{prefix}pairs"] or cfg.data.pairs)
        yield from ([(path, path.relative_to(top) if top.is_dir() else Path(path.name))] for path in table.files)
    elif cfg.data[f"{prefix}source"] is not None:
        paths = [Path(cfg.data[f"{prefix}{side}"]) for side in ("source", "target")]
        yield [(path, Path(path.name)) for path in paths]
