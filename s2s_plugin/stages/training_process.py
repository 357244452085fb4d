"""fairseq's training in one process, with what it lacks: whole checkpoints, clear errors, patience that goes on."""

from __future__ import annotations

import logging
import multiprocessing
import shutil
from pathlib import Path
from typing import Any

from fairseq.checkpoint_utils import load_checkpoint as load_checkpoint_and_data
from omegaconf import DictConfig

from s2s_plugin.errors import UserError
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.report.log import read_curves
from s2s_plugin.stages.training_progress import TrainingProgress
from s2s_plugin.utils.console import route_logs, say
from s2s_plugin.utils.untrusted import show


def train_process(cfg: DictConfig, run_dir: RunDir, updates: int, verbose: bool) -> None:
    """Run fairseq's training in this process, which fairseq may have started for one of several devices."""
    first = cfg.distributed_training.distributed_rank == 0
    if multiprocessing.parent_process() is not None:
        route_logs(run_dir.log if first else None, verbose and first)
    from fairseq_cli import train as fairseq_train

    fairseq_train.checkpoint_utils.PathManager.copy = staticmethod(_copy_whole)
    fairseq_train.checkpoint_utils.load_checkpoint = _load_training
    # fairseq keeps these between trainings in one process (multirun), but not between processes.
    for function in (fairseq_train.checkpoint_utils.save_checkpoint, fairseq_train.should_stop_early):
        for name in ("best", "num_runs"):
            function.__dict__.pop(name, None)
    if cfg.checkpoint.patience > 0 and restore_patience(cfg, run_dir, updates, fairseq_train.should_stop_early):
        return say("      patience has run out") if first else None
    if not first:
        return fairseq_train.main(cfg)
    progress = TrainingProgress(cfg.optimization.max_update, cfg.checkpoint.best_checkpoint_metric)
    logging.getLogger().addHandler(progress)
    try:
        return fairseq_train.main(cfg)
    finally:
        logging.getLogger().removeHandler(progress)
        progress.close()


def restore_patience(cfg: DictConfig, run_dir: RunDir, updates: int, stopper) -> bool:
    """Count, from the log, the validations without improvement until the last checkpoint, at ``updates``.

    ``stopper`` is fairseq's function ``should_stop_early``, which keeps the count in its attributes.

    Returns:
        whether patience has run out.
    """
    sign = 1 if cfg.checkpoint.maximize_best_checkpoint_metric else -1
    curve = read_curves(run_dir.log).valid[cfg.checkpoint.best_checkpoint_metric]["valid"]
    for value in (curve[update] for update in sorted(curve) if update <= updates):
        if not hasattr(stopper, "best") or sign * value > sign * stopper.best:
            stopper.best, stopper.num_runs = value, 0
        else:
            stopper.num_runs += 1
    return getattr(stopper, "num_runs", 0) >= cfg.checkpoint.patience


def _copy_whole(source: str, target: str, overwrite: bool = False) -> bool:
    """Copy a checkpoint so that the old one is replaced whole or not at all, unlike fairseq's own function."""
    partial = Path(f"{target}.tmp")
    shutil.copyfile(source, partial)
    partial.replace(target)
    return True


def _load_training(cfg: DictConfig, trainer: Any, **options: Any) -> tuple:
    """Call fairseq's function, which raises anything on a state of optimizer, meters or data that is not one.

    Raises:
        UserError: it does.
    """
    try:
        return load_checkpoint_and_data(cfg, trainer, **options)
    except (UserError, OSError, MemoryError):
        raise
    except Exception as error:
        reason = show(str(error) or type(error).__name__)
        raise UserError(
            f"{cfg.save_dir}: the training does not go on from the state in its checkpoint ({reason}); restore a copy, "
            "or give this run another name=..."
        ) from None
