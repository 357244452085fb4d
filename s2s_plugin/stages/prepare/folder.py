"""The prepared folder: its name, which follows from all that decides its content, its summary, fairseq's files."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path
from typing import Any

from fairseq import binarizer, options
from fairseq.data import Dictionary
from omegaconf import DictConfig, ListConfig, OmegaConf

from s2s_plugin.corpora import directions, media, tables
from s2s_plugin.corpora.own_files import check_own_files
from s2s_plugin.corpora.recipe import recipe_stamp
from s2s_plugin.errors import UserError
from s2s_plugin.stages.commands import preprocess_command
from s2s_plugin.stages.prepare.lengths import check_lengths
from s2s_plugin.stages.schema import DataConfig
from s2s_plugin.text.vocabulary import codec_files
from s2s_plugin.utils.console import note
from s2s_plugin.utils.digests import check_digest
from s2s_plugin.utils.io import file_sha256, fingerprint, read_json
from s2s_plugin.utils.options import options_affecting
from s2s_plugin.utils.workers import Pool

SUMMARY = "prepared.json"  # pairs in each split, lengths of the longest sides in steps, vocabulary, languages
CONTENT = {
    "pairs": {"train": int, "valid": int, "test": int},
    "longest": {"source": int, "target": int},
    "vocabulary": str,
    "languages": [str],
}
FILE_OPTIONS = (*directions.PAIR_OPTIONS, "dialogues", "valid_dialogues", "test_dialogues")


def resolve_preparation(cfg: DictConfig) -> tuple[Path, DictConfig]:
    """Return the prepared folder and the config that makes it.

    It is the one of the reverse direction if that folder exists and this one does not. Other options or changed files
    make another folder.

    Raises:
        UserError: a file cannot be read, or the languages are the same.
    """
    check_own_files(cfg.data)
    folder = _folder(cfg)
    reverse = None if folder.is_dir() or media.is_signal(cfg) else directions.reverse(cfg)
    if reverse is not None and _folder(reverse).is_dir():
        return _folder(reverse), reverse
    return folder, cfg


def _folder(cfg: DictConfig) -> Path:
    source, target = cfg.data.source_lang, cfg.data.target_lang
    parts = [] if media.is_signal(cfg) else directions.split_directions(cfg)
    for one, other in [(source, target), *((part.data.source_lang, part.data.target_lang) for part in parts)]:
        if not one or not other or one == other:
            raise UserError(
                f"source and target language must differ, got '{one}' and '{other}' (the suffixes of the files); "
                "set data.source_lang=en data.target_lang=de"
            )
    data: Any = OmegaConf.to_container(cfg.data, resolve=True)
    subword: Any = OmegaConf.to_container(cfg.subword, resolve=True)
    settings = {
        "data": {name: data[name] for name in options_affecting(DataConfig, "training")},
        "recipe": recipe_stamp(cfg.data.recipe),
        "subword": {name: value for name, value in subword.items() if name != "from_dir"},
        "files": {name: _file_hashes(cfg.data[name]) for name in FILE_OPTIONS if cfg.data[name] is not None},
        "features": media.features_folder(cfg).name if media.is_signal(cfg) else None,
    }
    vocabulary = codec_files(Path(cfg.subword.from_dir)) if cfg.subword.from_dir is not None else []
    stamp = fingerprint(settings, *vocabulary)[:8]
    return Path(cfg.prepared_dir) / f"{cfg.data.name}.{source}-{target}.{stamp}"


def _file_hashes(files: str | ListConfig) -> list[str]:
    try:
        paths = map(Path, files if isinstance(files, ListConfig) else [files])
        return [file_sha256(file) for path in paths for file in tables.table_files(path)]
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror}); check the name") from None


def read_summary(folder: Path) -> dict[str, Any] | None:
    """Return ``prepared.json``; None in a folder that fairseq-preprocess has made.

    Raises:
        UserError: it is damaged, or missing.
    """
    check_digest(folder / SUMMARY)
    return read_json(folder / SUMMARY, CONTENT, f"restore a copy, or delete {folder} and run the prepare stage again")


def check_prepared(cfg: DictConfig) -> None:
    """Raise UserError if there is no prepared data, or a batch cannot hold its longest pair."""
    if not Path(cfg.task.data).is_dir():
        raise UserError(f"{cfg.task.data}: no such folder; run the prepare stage first")
    if (summary := read_summary(Path(cfg.task.data))) is None:
        return  # of fairseq-preprocess
    longest = summary["longest"]["source"], summary["longest"]["target"]
    source, target = longest if summary["languages"][:1] == [cfg.task.source_lang] else longest[::-1]
    check_lengths(cfg, source, target)


def write_dictionary(cfg: DictConfig, folder: Path, lang: str, dictionary: Dictionary) -> None:
    """Write ``pieces/dict.<lang>.txt``; report training tokens that a vocabulary from elsewhere does not know."""
    dictionary.save(str(folder / "pieces" / f"dict.{lang}.txt"))
    if cfg.subword.from_dir is None:
        return
    counts = Counter((folder / "pieces" / f"train.{lang}").read_text(encoding="utf-8").split())
    unknown = Counter({piece: count for piece, count in counts.items() if piece not in dictionary})
    if unknown:
        percent, frequent = 100 * unknown.total() / counts.total(), " ".join(p for p, _ in unknown.most_common(8))
        note(f"{lang}: {percent:.2g} % of the tokens are unknown to {cfg.subword.from_dir}: {frequent}")


def binarize(cfg: DictConfig, folder: Path) -> None:
    """Run fairseq-preprocess with the arguments of :func:`preprocess_command`."""
    from fairseq_cli import preprocess  # configures logging

    binarizer.Pool = Pool
    arguments = shlex.split(preprocess_command(cfg, folder))[1:]
    preprocess.main(options.get_preprocessing_parser().parse_args(arguments))
