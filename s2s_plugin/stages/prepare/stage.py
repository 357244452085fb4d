"""The stage ``prepare``."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from s2s_plugin.corpora import media
from s2s_plugin.corpora.splits import SPLITS
from s2s_plugin.errors import UserError
from s2s_plugin.stages.base import Job, Stage
from s2s_plugin.stages.commands import preprocess_command
from s2s_plugin.stages.prepare import signal, text
from s2s_plugin.stages.prepare.folder import SUMMARY, resolve_preparation
from s2s_plugin.utils.io import build_folder, read_json


class PrepareStage(Stage):
    """Make the prepared folder; it appears whole or not at all."""

    name = "prepare"

    def command(self, job: Job) -> str:
        folder, cfg = resolve_preparation(job.cfg)
        return preprocess_command(cfg, folder)

    def begin(self, job: Job) -> None:
        """Leave the run's folder alone: several runs may share the data."""

    def is_done(self, job: Job) -> bool:
        folder, cfg = resolve_preparation(job.cfg)
        return folder.is_dir() and (not media.is_signal(cfg) or media.is_packed(cfg))

    def run(self, job: Job) -> None:
        prepare(job.cfg)

    def summary(self, job: Job) -> str:
        folder, _ = resolve_preparation(job.cfg)
        summary = read_json(folder / SUMMARY)
        counts = " / ".join(f"{summary['pairs'][split]:,}" for split in SPLITS)
        return f"{counts} pairs (train / valid / test), {summary['vocabulary']} tokens, in {folder}"


def prepare(cfg: DictConfig) -> Path:
    """Make the prepared folder of this corpus, if it is not there, and return it.

    Raises:
        UserError: the corpus is unusable, or options exclude each other.
    """
    folder, cfg = resolve_preparation(cfg)
    try:
        if media.is_signal(cfg):
            if cfg.data.retrieval:
                raise UserError(f"data.retrieval requires a text source, got {cfg.data.source_lang}")
            features = media.pack_corpus(cfg)
            return build_folder(folder, lambda partial: signal.build(cfg, partial, folder, features))
        text.check_options(cfg)
        return build_folder(folder, lambda partial: text.build(cfg, partial))
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be written ({error.strerror}); set prepared_dir=FOLDER") from None
