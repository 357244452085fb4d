"""What the options of fairseq's groups affect; an option that is not listed here affects training.

Options of our own dataclasses declare it in their fields (``utils/options.py``); fairseq's cannot be edited.
"""

from __future__ import annotations

from dataclasses import fields

from s2s_plugin.tasks.config import Seq2SeqTaskConfig
from s2s_plugin.utils.options import options_affecting

# The groups that decide what is learnt.
TRAINING_GROUPS = ("task", "model", "criterion", "optimizer", "lr_scheduler", "optimization", "dataset", "common",
                   "checkpoint", "ema")  # fmt: skip

DISPLAY_OPTIONS = ("log_interval", "log_format", "log_file", "no_progress_bar")  # of common

# How long is trained: may grow later.
LENGTH_KEYS = {
    "optimization.max_update",
    "optimization.max_epoch",
    "optimization.stop_time_hours",
    "lr_scheduler.total_num_update",  # of polynomial_decay, which ends with the training
    "lr_scheduler.max_update",  # of cosine, too
}

NON_TRAINING_KEYS = {
    *(f"common.{name}" for name in (*DISPLAY_OPTIONS, "user_dir", "cpu", "tensorboard_logdir", "wandb_project")),
    *(f"dataset.{name}" for name in ("num_workers", "gen_subset")),
    *(f"checkpoint.{name}" for name in ("save_dir", "save_interval", "save_interval_updates")),
    *(f"checkpoint.{name}" for name in ("keep_interval_updates", "keep_last_epochs")),
    *(f"task.{each.name}" for each in fields(Seq2SeqTaskConfig)),
} - {f"task.{name}" for name in options_affecting(Seq2SeqTaskConfig, "training")}
