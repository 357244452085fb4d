"""The stage ``train``: fairseq's training, continued where it stopped."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path

import torch
from fairseq import tasks
from fairseq.checkpoint_utils import save_ema_as_checkpoint
from fairseq.distributed import utils as distributed_utils
from omegaconf import DictConfig, OmegaConf
from torch import nn

from s2s_plugin.corpora.own_files import corpus_name
from s2s_plugin.errors import UserError
from s2s_plugin.inference.run_dir import AVERAGE, EMA, RunDir
from s2s_plugin.live.serve import live_page
from s2s_plugin.report.learned import training_signs, unigram_entropy, warning
from s2s_plugin.report.log import read_curves
from s2s_plugin.report.measures import describe_loss
from s2s_plugin.stages.average import average_best
from s2s_plugin.stages.base import Job, Stage
from s2s_plugin.stages.commands import train_command
from s2s_plugin.stages.finetune import write_fisher
from s2s_plugin.stages.prepare.lengths import check_validation, largest_batch
from s2s_plugin.stages.run_data import keep_data
from s2s_plugin.stages.same_run import (
    BATCH_KEYS,
    changed_settings,
    check_dictionaries,
    dictionary_fingerprints,
    write_training_settings,
)
from s2s_plugin.stages.training_process import train_process
from s2s_plugin.tasks.checkpoint import check_parameters, load_checkpoint
from s2s_plugin.tasks.precision import use_bf16
from s2s_plugin.utils.checkpoint import save_checkpoint
from s2s_plugin.utils.console import clock, note, say
from s2s_plugin.utils.io import write_json, write_text
from s2s_plugin.utils.untrusted import write_yaml


class TrainStage(Stage):
    """Train a model, then average its best checkpoints if ``average`` is set."""

    name = "train"

    def command(self, job: Job) -> str:
        return train_command(job.fairseq)

    def begin(self, job: Job) -> None:
        super().begin(job)
        keep_data(job.cfg, job.prepared, job.run_dir, fresh=not job.run_dir.training_settings.is_file())
        write_yaml(job.run_dir.config, OmegaConf.to_yaml(job.cfg, resolve=True))

    def is_done(self, job: Job) -> bool:
        return job.run_dir.training_result.is_file() and not changed_settings(job.fairseq, job.run_dir)

    def run(self, job: Job) -> None:
        cfg, run_dir = job.fairseq, job.run_dir
        _check_options(cfg)
        task = tasks.setup_task(cfg.task)
        model = task.build_model(cfg.model)
        for split in ("train", *cfg.dataset.valid_subset.split(",")):
            task.load_dataset(split)  # damage is noticed before anything is deleted
        if (updates := count_updates(run_dir, model)) > 0:
            check_dictionaries(cfg, run_dir)
            if BATCH_KEYS & changed_settings(cfg, run_dir).keys():
                _start_next_epoch(run_dir)
        # Of the other run's training, from which fairseq goes on to count.
        seconds_before = run_dir.read_settings().get("seconds_before", 0)
        write_fisher(cfg)
        if cfg.checkpoint.finetune_from_model and (not updates or Path(cfg.checkpoint.finetune_from_model).is_file()):
            seconds_before = _load_initial(cfg, model)["extra_state"].get("previous_training_time", 0)
        run_dir.training_result.unlink(missing_ok=True)
        write_training_settings(cfg, run_dir, seconds_before, corpus_name(job.cfg.data))
        write_text(run_dir.fairseq_config, OmegaConf.to_yaml(cfg))
        weights = (run_dir.checkpoints / EMA, run_dir.checkpoints / AVERAGE)
        for stale in (*weights, run_dir.divergence, run_dir.generation_info):
            stale.unlink(missing_ok=True)
        if not 0 < cfg.optimization.max_update <= updates:
            for split in cfg.dataset.valid_subset.split(","):
                check_validation(cfg, split, task.dataset(split))
            note(f"loss: {describe_loss(cfg.criterion)}")
            say(f"      {largest_batch(cfg, task.dataset('train'), len(task.target_dictionary))}")
            with live_page(run_dir) if job.cfg.live else nullcontext():
                _train(cfg, run_dir, updates, job.cfg.verbose)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        entropy = unigram_entropy(task.dataset("train"))
        _finish(cfg, run_dir, job.cfg.average, seconds_before, {"parameters": parameters, "unigram_entropy": entropy})
        signs = training_signs(cfg, run_dir.read_result(), read_curves(run_dir.log))
        if text := warning(signs):
            note(text)

    def summary(self, job: Job) -> str:
        result = job.run_dir.read_result()
        return f"{result['updates']:,} updates in {clock(result['seconds'])}"


def _train(cfg: DictConfig, run_dir: RunDir, updates: int, verbose: bool) -> None:
    """Run fairseq's training, on one device or several.

    Raises:
        UserError: it has diverged.
    """
    try:
        distributed_utils.call_main(cfg, train_process, run_dir=run_dir, updates=updates, verbose=verbose)
    except Exception as error:
        if isinstance(error, FloatingPointError) or "FloatingPointError" in str(error):  # in another process
            raise _divergence(cfg, run_dir) from None
        raise
    finally:  # half a checkpoint, or the one of diverged weights
        for path in (*run_dir.checkpoints.glob("*.tmp"), run_dir.checkpoints / "crash.pt"):
            path.unlink(missing_ok=True)


def _divergence(cfg: DictConfig, run_dir: RunDir) -> UserError:
    """Note that training has diverged, which allows to change its learning rate; return the error to raise."""
    rate, norm = list(cfg.optimization.lr), cfg.optimization.clip_norm
    write_json(run_dir.divergence, {"lr": rate, "clip_norm": norm})
    last = run_dir.checkpoints / "checkpoint_last.pt"
    start = "continues from the last checkpoint" if last.is_file() else "starts again"
    limit = f"optimization.clip_norm={norm}" if norm > 0 else "optimization.clip_norm, 0 for no limit (1.0 is usual)"
    return UserError(
        f"training has diverged, the loss or its gradient is not finite: lower optimization.lr={rate} or change "
        f"{limit}; the same command then {start}"
    )


def _load_initial(cfg: DictConfig, model: nn.Module) -> dict:
    """Return the checkpoint to fine-tune; raise UserError if it has another model or vocabulary."""
    path = Path(cfg.checkpoint.finetune_from_model)
    state = load_checkpoint(path)
    dictionaries = RunDir(path.parent.parent).read_settings().get("dictionaries")
    if dictionaries not in (None, dictionary_fingerprints(cfg)):
        raise UserError(f"{path} has another model or vocabulary; finetune_from=RUN takes both from a run")
    check_parameters(path, state["model"], model)
    return state


def count_updates(run_dir: RunDir, model: nn.Module) -> int:
    """Return how many updates have been done; put the best checkpoint in place of a last one that is cut short.

    fairseq writes the best checkpoint and then copies it to the last, so a process that is killed in between leaves
    half a copy of a whole file. Training then goes on from that file, with the same outcome.
    """
    last, best = run_dir.checkpoints / "checkpoint_last.pt", run_dir.checkpoints / "checkpoint_best.pt"
    if not last.exists():
        return 0
    try:
        state = load_checkpoint(last)
    except UserError as error:
        if not best.is_file():
            raise
        state = load_checkpoint(best)
        say(f"      {error}: continues from {best.name}")
        shutil.copyfile(best, last.with_suffix(".partial"))
        last.with_suffix(".partial").replace(last)
    for parameters in (state["model"], state["extra_state"].get("ema")):
        if parameters is not None:
            check_parameters(last, parameters, model)
    updates = state["optimizer_history"][-1]["num_updates"]
    say(f"      continues after {updates:,} updates")
    return updates


def _start_next_epoch(run_dir: RunDir) -> None:
    """Let the last checkpoint go on with its next epoch: the place in this one counts batches of another size."""
    last = run_dir.checkpoints / "checkpoint_last.pt"
    state = load_checkpoint(last)
    iterator = state["extra_state"]["train_iterator"]
    if iterator["iterations_in_epoch"] > 0:
        iterator |= {"epoch": iterator["epoch"] + 1, "iterations_in_epoch": 0}
        save_checkpoint(state, last)


def _finish(
    cfg: DictConfig, run_dir: RunDir, average: int, seconds_before: float, measured: Mapping[str, float]
) -> None:
    """Average the weights if configured, and record the result without the seconds of an earlier training."""
    state = load_checkpoint(run_dir.checkpoints / "checkpoint_last.pt")
    best = state["extra_state"].get("best")
    if cfg.ema.store_ema:
        save_ema_as_checkpoint(str(run_dir.best_checkpoint(averaged=False)), str(run_dir.checkpoints / EMA))
    elif average and best is not None:
        best = average_best(cfg, run_dir, average, best)
    result = {
        "updates": state["optimizer_history"][-1]["num_updates"],
        "seconds": round(state["extra_state"].get("previous_training_time", 0) - seconds_before),
        "best": best,
        **measured,
        "precision": _precision(cfg),
        "seed": cfg.common.seed,
    }
    write_json(run_dir.training_result, result)


def _precision(cfg: DictConfig) -> str:
    """Return the precision of weights and products, to show with the scores."""
    if cfg.common.bf16 or cfg.common.fp16:
        return "bf16" if cfg.common.bf16 else "fp16"
    device = torch.device("cpu" if cfg.common.cpu or not torch.cuda.is_available() else "cuda")
    return "fp32, products bf16" if use_bf16(cfg.task.precision, device) else "fp32"


def _check_options(cfg: DictConfig) -> None:
    """Raise UserError if an option requires a GPU, a package, a file or another option that is not there."""
    if (restored := cfg.checkpoint.restore_file) != "checkpoint_last.pt":
        load_checkpoint(Path(restored))
    if cfg.common.fp16 and not torch.cuda.is_available():
        raise UserError("common.fp16 requires a GPU; on a CPU, task.precision chooses what is fast")
    if cfg.common.tensorboard_logdir and not any(map(find_spec, ("tensorboard", "tensorboardX"))):
        raise UserError("common.tensorboard_logdir requires a package: pip install tensorboardX")
    if cfg.common.wandb_project and not find_spec("wandb"):
        raise UserError("common.wandb_project requires a package: pip install wandb")
    updates, warmup = cfg.optimization.max_update, cfg.lr_scheduler.get("warmup_updates", 0)
    if 0 < updates <= warmup:
        say(
            f"      {updates} updates end within the warm-up of lr_scheduler.warmup_updates={warmup}: little is learned"
        )
    if not cfg.lr_scheduler.get("total_num_update", 1) > 0:
        raise UserError(
            "lr_scheduler=polynomial_decay requires optimization.max_update or lr_scheduler.total_num_update; "
            "or take lr_scheduler=inverse_sqrt"
        )
