"""The stage ``prepare``."""

from __future__ import annotations

import textwrap
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from s2s_plugin.corpora import media
from s2s_plugin.corpora.splits import SPLITS
from s2s_plugin.errors import UserError
from s2s_plugin.stages.base import Job, Stage
from s2s_plugin.stages.commands import preprocess_command
from s2s_plugin.stages.prepare import signal, text
from s2s_plugin.stages.prepare.folder import SUMMARY, read_summary, resolve_preparation
from s2s_plugin.utils.console import WIDTH
from s2s_plugin.utils.digests import check_folder, record_digests
from s2s_plugin.utils.io import build_folder


class PrepareStage(Stage):
    """Make the prepared folder; it appears whole or not at all."""

    name = "prepare"

    def command(self, job: Job) -> str | None:
        return None if job.preparation is None else preprocess_command(job.preparation, job.prepared)

    def begin(self, job: Job) -> None:
        """Leave the run's folder alone: several runs may share the data."""

    def is_done(self, job: Job) -> bool:
        if not job.prepared.is_dir():
            return False
        if media.is_signal(job.cfg):
            features = media.packed_folder(job.prepared)
            if not media.is_packed(features):
                return False
            check_folder(features)
        check_folder(job.prepared)
        return True

    def run(self, job: Job) -> None:
        prepare(job.cfg)

    def summary(self, job: Job) -> str:
        folder = job.prepared
        if (summary := read_summary(folder)) is None:
            raise UserError(f"{folder / SUMMARY}: missing; delete {folder} and run the prepare stage again")
        counts = " / ".join(f"{summary['pairs'][split]:,}" for split in SPLITS)
        text = f"{counts} pairs (train / valid / test), {summary['vocabulary']} tokens, in {job.prepared}"
        if not summary.get("license"):
            return text
        license = f"license of {job.cfg.data.name}: {summary['license']}"
        return "\n      ".join([text, *textwrap.wrap(license, WIDTH - 6, subsequent_indent="  ")])


def prepare(cfg: DictConfig) -> Path:
    """Make the prepared folder of this corpus, if it is not there, and return it.

    Raises:
        UserError: the corpus is unusable, or options exclude each other.
    """
    folder, cfg = resolve_preparation(cfg)
    if media.is_signal(cfg):
        if cfg.data.retrieval:
            raise UserError(f"data.retrieval requires a text source, got {cfg.data.source_lang}")
        features = media.pack_corpus(cfg)
        fill = partial(signal.build, cfg, final_folder=folder, features=features)
    else:
        text.check_options(cfg)
        fill = partial(text.build, cfg)

    def build(unfinished: Path) -> None:
        fill(folder=unfinished)
        record_digests(unfinished)

    return build_folder(folder, build)
