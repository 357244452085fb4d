"""What the options of fairseq's groups affect, and what follows from it for a run.

Options of our own dataclasses declare it in their fields (``utils/options.py``). fairseq's dataclasses cannot be
edited, so the table below declares theirs; an option that is not in it affects training.
"""

from __future__ import annotations

from dataclasses import fields

from s2s_plugin.stages.schema import RunConfig
from s2s_plugin.tasks.config import Seq2SeqTaskConfig
from s2s_plugin.utils.options import DECODING, DISPLAY, SPEED, options_affecting

FILES = ("files",)  # which files are kept, and where
LENGTH = ("length",)  # how long is trained: may grow later

# The groups that decide what is learnt.
TRAINING_GROUPS = (
    "task",
    "model",
    "criterion",
    "optimizer",
    "lr_scheduler",
    "optimization",
    "dataset",
    "common",
    "checkpoint",
    "ema",
)

FAIRSEQ_EFFECTS = {
    "common.log_interval": DISPLAY,
    "common.log_format": DISPLAY,
    "common.log_file": DISPLAY,
    "common.no_progress_bar": DISPLAY,
    "common.user_dir": FILES,
    "common.cpu": SPEED,
    "common.tensorboard_logdir": FILES,
    "common.wandb_project": FILES,
    "dataset.num_workers": SPEED,
    "dataset.gen_subset": DECODING,
    "checkpoint.save_dir": FILES,
    "checkpoint.save_interval": FILES,
    "checkpoint.save_interval_updates": FILES,
    "checkpoint.keep_interval_updates": FILES,
    "checkpoint.keep_last_epochs": FILES,
    "optimization.max_update": LENGTH,
    "optimization.max_epoch": LENGTH,
    "optimization.stop_time_hours": LENGTH,
    "lr_scheduler.total_num_update": LENGTH,  # of polynomial_decay, which ends with the training
    "lr_scheduler.max_update": LENGTH,  # of cosine, too
}

LENGTH_KEYS = frozenset(key for key, effects in FAIRSEQ_EFFECTS.items() if effects == LENGTH)
TASK_KEYS = {f"task.{each.name}" for each in fields(Seq2SeqTaskConfig)}
NON_TRAINING_KEYS = frozenset(
    FAIRSEQ_EFFECTS.keys() - LENGTH_KEYS
    | TASK_KEYS - {f"task.{name}" for name in options_affecting(Seq2SeqTaskConfig, "training")}
)
DISPLAY_OPTIONS = frozenset(key.partition(".")[2] for key, effects in FAIRSEQ_EFFECTS.items() if effects == DISPLAY)

# What a later stage takes from the run's own config: our groups declare it in the schema, these are fairseq's.
SAVED_GROUPS = (
    *(each.name for each in fields(RunConfig) if each.metadata.get("saved")),
    "task",
    "model",
    "scoring",
    "generation",
)
