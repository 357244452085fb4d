"""fairseq's files in a prepared folder: dictionaries and binary data."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path

from fairseq.data import Dictionary
from omegaconf import DictConfig

from s2s_plugin.stages.commands import preprocess_command
from s2s_plugin.utils.console import say


def write_dictionary(cfg: DictConfig, folder: Path, lang: str, dictionary: Dictionary) -> None:
    """Write ``pieces/dict.<lang>.txt``; report training tokens that a vocabulary from elsewhere does not know."""
    dictionary.save(str(folder / "pieces" / f"dict.{lang}.txt"))
    if cfg.subword.from_dir is None:
        return
    counts = Counter((folder / "pieces" / f"train.{lang}").read_text(encoding="utf-8").split())
    unknown = Counter({piece: count for piece, count in counts.items() if piece not in dictionary})
    if unknown:
        percent, frequent = 100 * unknown.total() / counts.total(), " ".join(p for p, _ in unknown.most_common(8))
        say(f"      {lang}: {percent:.2g} % of the tokens are unknown to {cfg.subword.from_dir}: {frequent}")


def binarize(cfg: DictConfig, folder: Path) -> None:
    """Run fairseq-preprocess with the arguments of :func:`preprocess_command`."""
    from fairseq import options
    from fairseq_cli import preprocess

    arguments = shlex.split(preprocess_command(cfg, folder))[1:]
    preprocess.main(options.get_preprocessing_parser().parse_args(arguments))
