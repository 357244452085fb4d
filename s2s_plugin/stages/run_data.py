"""``data/`` in the folder of a run: what its use needs of the prepared data, so that it can be moved by itself.

That is the codec, the dictionaries and the held-out sets, but not the training set.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig

from s2s_plugin.corpora.splits import SPLITS
from s2s_plugin.errors import UserError
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.stages.base import Job
from s2s_plugin.stages.prepare.folder import resolve_preparation
from s2s_plugin.stages.schema import fairseq_config
from s2s_plugin.tasks.loading import SOURCE_META, read_source_meta
from s2s_plugin.utils.digests import DIGESTS, check_digest, record_digests
from s2s_plugin.utils.io import atomic_folder, write_json

SHORTLISTS = "shortlist.*.pt"  # may be learned after the training


def keep_data(cfg: DictConfig, prepared: Path, run_dir: RunDir, fresh: bool = False) -> None:
    """Link the files of a prepared folder into the folder of the run, or copy them to another file system.

    What is there stays, unless ``fresh``. A chatbot keeps the training replies too, which ``s2s chat`` counts.
    """
    if fresh or not run_dir.data.is_dir():
        with atomic_folder(run_dir.data) as partial:
            for path in _files(prepared, f"train.{cfg.task.target_lang}" if cfg.app == "chatbot" else None):
                _link(path, partial / path.relative_to(prepared))
            if (prepared / SOURCE_META).is_file():
                _keep_features(prepared, partial)
            record_digests(partial)
    for path in prepared.glob(SHORTLISTS):
        if not (kept := run_dir.data / path.name).exists():
            _link(path, kept)


def is_own_data(prepared: Path, run_dir: RunDir) -> bool:
    """Return whether the run was trained on this prepared folder; its name tells its content, wherever it is."""
    return Path(run_dir.read_settings().get("task.data", "")).name == prepared.name


def decoding_data(cfg: DictConfig, prepared: Path, run_dir: RunDir) -> Path:
    """Return the folder that the stages after training read: the run's own, if there is one and it suffices.

    Raises:
        UserError: a shortlist has to be learned, and the training data is gone.
    """
    if not run_dir.data.is_dir():
        return prepared
    if cfg.task.shortlist and not any(run_dir.data.glob(SHORTLISTS)):
        if not prepared.is_dir():
            raise UserError(
                f"task.shortlist is learned from the training data, and {prepared} is gone: prepare it again, or set "
                "task.shortlist=0"
            )
        return prepared
    return run_dir.data


def decoding_job(job: Job) -> Job:
    """Return the job of a stage after training, which reads the run's own data."""
    if job.prepared.is_dir():
        keep_data(job.cfg, job.prepared, job.run_dir)
    cfg = job.cfg.copy()
    cfg.task.data = str(decoding_data(cfg, job.prepared, job.run_dir))
    return replace(job, cfg=cfg, fairseq=fairseq_config(cfg))


def locate_data(cfg: DictConfig, restored: bool, chosen: bool, trains: bool) -> tuple[Path, DictConfig | None]:
    """Return the prepared folder, and the config that makes it if its files can be read.

    Args:
        cfg: composed; ``cfg.task.data`` is the run's if the config was ``restored``, the user's if it is ``chosen``.
        restored: whether the run's own data is meant.
        chosen: whether the command line names ``task.data``.
        trains: whether the data is for training, else for one of the stages after it.

    Raises:
        UserError: a file of the corpus cannot be read, or another folder is chosen for training.
    """
    if not trains and (restored or chosen):
        return Path(cfg.task.data), None
    try:
        folder, preparation = resolve_preparation(cfg)
    except UserError:
        if restored and Path(cfg.task.data).is_dir():  # what it was made from is gone
            return Path(cfg.task.data), None
        raise
    if chosen and Path(cfg.task.data).resolve() != folder.resolve():
        raise UserError(
            f"task.data must be {folder}, which follows from data, subword and prepared_dir, got {cfg.task.data}; "
            "leave it out, or train on another folder with fairseq-train"
        )
    return folder, preparation


def _files(prepared: Path, replies: str | None) -> Iterator[Path]:
    """Yield the files of a prepared folder that a run keeps, text with the name ``replies`` among them."""
    for folder in (prepared, prepared / "text", prepared / "pieces"):
        for path in sorted(folder.glob("[!.]*")):
            kept = not path.name.startswith("train.") or (folder.name == "text" and path.name == replies)
            if kept and path.is_file() and path.name not in (SOURCE_META, DIGESTS, "preprocess.log"):
                yield path


def _keep_features(prepared: Path, folder: Path) -> None:
    """Link the features of the held-out sets, and write where they are."""
    meta = read_source_meta(prepared)
    for split in SPLITS[1:]:
        for suffix in (".bin", ".json"):
            _link(prepared / meta["features"] / f"{split}{suffix}", folder / "features" / f"{split}{suffix}")
    write_json(folder / SOURCE_META, {**meta, "features": "features"})


def _link(path: Path, to: Path) -> None:
    check_digest(path)
    to.parent.mkdir(exist_ok=True)
    try:
        to.hardlink_to(path.resolve())
    except OSError:
        shutil.copyfile(path, to)
