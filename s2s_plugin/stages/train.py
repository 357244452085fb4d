"""Stage 2: fairseq's training, continued where it stopped."""

from __future__ import annotations

import json
import logging
import multiprocessing
import shutil
from importlib.util import find_spec
from pathlib import Path

import torch
from fairseq import tasks
from fairseq.checkpoint_utils import save_ema_as_checkpoint
from omegaconf import DictConfig, OmegaConf

from s2s_plugin.datasets.manifest import MODALITIES
from s2s_plugin.errors import UserError
from s2s_plugin.report.log import read_curves
from s2s_plugin.stages.average import average_best
from s2s_plugin.tasks.precision import use_bf16
from s2s_plugin.utils.checkpoint import load_checkpoint
from s2s_plugin.utils.console import TrainingProgress, clock, route_logs, say
from s2s_plugin.utils.io import fingerprint, read_json, write_json, write_text
from s2s_plugin.utils.run_dir import AVERAGE, EMA, RunDir

# Groups that decide what is learnt; a run's folder belongs to one set of them.
LEARNING = (
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
# Options in them that do not, and the length of training, which may grow.
INDIFFERENT = {
    "task.search_precision",
    "task.min_len_a",
    "task.repetition_penalty",
    "task.wu_length_penalty",
    "task.coverage_penalty",
    "task.search_patience",
    "task.typical_sampling",
    "task.mbr",
    "common.log_interval",
    "common.log_format",
    "common.no_progress_bar",
    "common.user_dir",
    "common.cpu",
    "common.tensorboard_logdir",
    "common.wandb_project",
    "dataset.num_workers",
    "dataset.gen_subset",
    "checkpoint.save_dir",
    "checkpoint.save_interval",
    "checkpoint.save_interval_updates",
    "checkpoint.keep_interval_updates",
    "checkpoint.keep_last_epochs",
}
LENGTH = {
    "optimization.max_update",
    "optimization.max_epoch",
    "optimization.stop_time_hours",
    "lr_scheduler.total_num_update",  # of polynomial_decay, and
    "lr_scheduler.max_update",  # of cosine: schedules that end with the training
}


def train(cfg: DictConfig, run: RunDir, verbose: bool, average: int = 0) -> None:
    """Train, unless this run's training has ended already; then average so many of the best checkpoints.

    Raises:
        UserError: the folder holds a run with other settings, or a checkpoint is broken.
    """
    from fairseq.distributed import utils as distributed_utils

    check_same_run(cfg, run)
    _check_machine(cfg)
    _check_schedule(cfg)
    ended = read_json(run.training_result)
    if ended is not None:
        say(f"      done before: {ended['updates']:,} updates in {clock(ended['seconds'])}")
        return
    updates = _resume(run)
    seconds_before = _check_beginning(cfg) if cfg.checkpoint.finetune_from_model else 0
    write_json(run.training_settings, {**_settings(cfg), "dictionaries": _dictionaries(cfg)})
    write_text(run.fairseq_config, OmegaConf.to_yaml(cfg))
    for of_shorter in (run.checkpoints / EMA, run.checkpoints / AVERAGE, run.generation_info):
        of_shorter.unlink(missing_ok=True)

    if not 0 < cfg.optimization.max_update <= updates:
        distributed_utils.call_main(cfg, train_process, run=run, updates=updates, verbose=verbose)

    state = load_checkpoint(run.checkpoints / "checkpoint_last.pt")
    best = state["extra_state"].get("best")
    if cfg.ema.store_ema:
        save_ema_as_checkpoint(str(run.best_checkpoint(averaged=False)), str(run.checkpoints / EMA))
    elif average and best is not None:
        best = average_best(cfg, run, average, best)
    model = tasks.setup_task(cfg.task).build_model(cfg.model)
    write_json(
        run.training_result,
        {
            "updates": state["optimizer_history"][-1]["num_updates"],
            "seconds": round(state["extra_state"].get("previous_training_time", 0) - seconds_before),
            "best": best,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "precision": _precision(cfg),
            "seed": cfg.common.seed,
        },
    )


def train_process(cfg: DictConfig, run: RunDir, updates: int, verbose: bool) -> None:
    """fairseq's training in this process, which fairseq may have started for one of several devices."""
    first = cfg.distributed_training.distributed_rank == 0
    if multiprocessing.parent_process() is not None:
        route_logs(run.log if first else None, verbose and first)
    from fairseq_cli import train as fairseq_train

    # fairseq keeps these between trainings in one process (multirun), but not between processes.
    for function in (fairseq_train.checkpoint_utils.save_checkpoint, fairseq_train.should_stop_early):
        for name in ("best", "num_runs"):
            function.__dict__.pop(name, None)
    if cfg.checkpoint.patience > 0 and _recall_patience(cfg, run, updates, fairseq_train.should_stop_early):
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


def _precision(cfg: DictConfig) -> str:
    """Of weights and products, as it is said beside the scores."""
    if cfg.common.bf16 or cfg.common.fp16:
        return "bf16" if cfg.common.bf16 else "fp16"
    device = torch.device("cpu" if cfg.common.cpu or not torch.cuda.is_available() else "cuda")
    return "fp32, products bf16" if use_bf16(cfg.task.precision, device) else "fp32"


def _settings(cfg: DictConfig) -> dict:
    plain = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)
    assert isinstance(plain, dict)
    settings = {f"{group}.{key}": value for group in LEARNING for key, value in (plain[group] or {}).items()}
    return {key: value for key, value in settings.items() if key not in INDIFFERENT}


def _check_machine(cfg: DictConfig) -> None:
    """
    Raises:
        UserError: what was asked for needs a GPU, or a package that is not installed.
    """
    if cfg.common.fp16 and not torch.cuda.is_available():
        raise UserError("common.fp16 needs a GPU; on a CPU leave it out: task.precision chooses what is fast there")
    if cfg.common.tensorboard_logdir and not any(map(find_spec, ("tensorboard", "tensorboardX"))):
        raise UserError("common.tensorboard_logdir needs a package: pip install tensorboardX")
    if cfg.common.wandb_project and not find_spec("wandb"):
        raise UserError("common.wandb_project needs a package: pip install wandb")


def _check_schedule(cfg: DictConfig) -> None:
    """
    Raises:
        UserError: the learning rate falls until the last update, and it is not said which that is.
    """
    if not cfg.lr_scheduler.get("total_num_update", 1) > 0:
        raise UserError(
            "lr_scheduler=polynomial_decay falls until the last update, and optimization.max_update names none: give "
            "lr_scheduler.total_num_update, or lr_scheduler=inverse_sqrt"
        )


def check_same_run(cfg: DictConfig, run: RunDir) -> None:
    """A folder holds one training; other settings need another name. Only its length may grow.

    Raises:
        UserError: the settings differ from those that the folder was trained with.
    """
    before, settings = read_json(run.training_settings), _settings(cfg)
    if before is None:
        return
    before.pop("dictionaries")
    # A key that is not there is an option of a later version.
    changed = [key for key in sorted(settings.keys() & before.keys()) if settings[key] != before[key]]
    if changed and LENGTH.issuperset(changed) and all(settings[key] > before[key] for key in changed):
        run.training_result.unlink(missing_ok=True)
    elif changed:
        key = changed[0]
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise UserError(
            f"{run.folder} was trained with {key}={json.dumps(before[key])}, now it is "
            f"{json.dumps(settings[key])}{more}: give this run another name=..., or delete the folder"
        )


def check_dictionaries(cfg: DictConfig, run: RunDir) -> None:
    """
    Raises:
        UserError: the data's dictionaries are not those of the training.
    """
    trained = (read_json(run.training_settings) or {}).get("dictionaries", {})
    for lang, now in _dictionaries(cfg).items():
        if now != trained.get(lang):
            raise UserError(
                f"{cfg.task.data}/dict.{lang}.txt is not the dictionary that {run.folder} was trained with, "
                "it is of other data; leave out data=... and subword=... to use those of the training"
            )


def _dictionaries(cfg: DictConfig) -> dict[str, str]:
    """Fingerprint of each language's dictionary; signals have none."""
    paths = {lang: Path(cfg.task.data) / f"dict.{lang}.txt" for lang in (cfg.task.source_lang, cfg.task.target_lang)}
    return {lang: fingerprint(path) for lang, path in paths.items() if lang not in MODALITIES}


def _check_beginning(cfg: DictConfig) -> float:
    """The checkpoint to fine-tune is one of this model, with these dictionaries.

    Returns:
        the seconds it took to train it, which fairseq counts on.

    Raises:
        UserError: it is another's.
    """
    path = Path(cfg.checkpoint.finetune_from_model)
    state = load_checkpoint(path)
    model = tasks.setup_task(cfg.task).build_model(cfg.model)
    shapes = [{name: value.shape for name, value in each.items()} for each in (state["model"], model.state_dict())]
    dictionaries = (read_json(RunDir(path.parent.parent).training_settings) or {}).get("dictionaries")
    if shapes[0] != shapes[1] or dictionaries not in (None, _dictionaries(cfg)):
        raise UserError(f"{path} has another model or vocabulary; finetune_from=RUN takes both from a run")
    return state["extra_state"].get("previous_training_time", 0)


def _resume(run: RunDir) -> int:
    """Updates done before. A last checkpoint that was cut short is named before fairseq trips over it.

    fairseq writes the best checkpoint whole and then copies it to the last, so a process killed in between leaves
    half a copy of a whole file. Training then continues from that one, with the same outcome.
    """
    last, best = run.checkpoints / "checkpoint_last.pt", run.checkpoints / "checkpoint_best.pt"
    if not last.exists():
        return 0
    try:
        state = load_checkpoint(last)
    except UserError as error:
        if not best.is_file():
            raise
        state = load_checkpoint(best)
        say(f"      {error}: the best one is whole")
        shutil.copyfile(best, last.with_suffix(".partial"))
        last.with_suffix(".partial").replace(last)
    updates = state["optimizer_history"][-1]["num_updates"]
    say(f"      continues after {updates:,} updates")
    return updates


def _recall_patience(cfg: DictConfig, run: RunDir, updates: int, stopper) -> bool:
    """Count again, from the log, the validations without a gain before the last checkpoint (but no NaN).

    Returns:
        whether patience had run out.
    """
    sign = 1 if cfg.checkpoint.maximize_best_checkpoint_metric else -1
    curve = read_curves(run.log).valid[cfg.checkpoint.best_checkpoint_metric]["valid"]
    for value in (curve[update] for update in sorted(curve) if update <= updates):
        if not hasattr(stopper, "best") or sign * value > sign * stopper.best:
            stopper.best, stopper.num_runs = value, 0
        else:
            stopper.num_runs += 1
    return getattr(stopper, "num_runs", 0) >= cfg.checkpoint.patience
