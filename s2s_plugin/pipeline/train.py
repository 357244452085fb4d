"""Stage 2: fairseq's training, continued where it stopped."""

from __future__ import annotations

import json
import logging
import shutil
import time

import torch
from omegaconf import DictConfig, OmegaConf

from s2s_plugin.errors import UserError
from s2s_plugin.pipeline.console import TrainingProgress, clock, say
from s2s_plugin.pipeline.run import Run, read_json, write_json, write_text

# Groups that decide what is learnt; a run's folder belongs to one set of them.
LEARNING = ("task", "model", "criterion", "optimizer", "lr_scheduler", "optimization", "dataset", "common", "ema")


def train(cfg: DictConfig, run: Run, verbose: bool) -> None:
    """Train, unless this run's training has ended already.

    Raises:
        UserError: the folder holds a run with other settings, or its last checkpoint is broken.
    """
    from fairseq.distributed import utils as distributed_utils
    from fairseq_cli import train as fairseq_train

    settings = _settings(cfg)
    _check_same_run(run, settings)
    ended = read_json(run.trained)
    if ended is not None:
        say(f"      done before: {ended['updates']:,} updates in {clock(ended['seconds'])}")
        return
    _check_resumable(run)
    write_json(run.folder / "settings.json", settings)
    write_text(run.fairseq_config, OmegaConf.to_yaml(cfg))

    # fairseq keeps these between trainings in one process (multirun).
    for function in (fairseq_train.checkpoint_utils.save_checkpoint, fairseq_train.should_stop_early):
        for name in ("best", "num_runs"):
            function.__dict__.pop(name, None)
    progress = TrainingProgress(cfg.optimization.max_update, cfg.checkpoint.best_checkpoint_metric)
    logging.getLogger().addHandler(progress)
    started = time.monotonic()
    try:
        distributed_utils.call_main(cfg, fairseq_train.main)
    finally:
        logging.getLogger().removeHandler(progress)
        progress.close()

    state = load_checkpoint(run.checkpoints / "checkpoint_last.pt")
    history = state["optimizer_history"][-1]
    write_json(
        run.trained,
        {
            "updates": history["num_updates"],
            "seconds": round(state["extra_state"].get("previous_training_time", 0)),
            "seconds_this_time": round(time.monotonic() - started),
            "best": state["extra_state"].get("best"),
            "parameters": sum(tensor.numel() for tensor in _distinct(state["model"])),
            "seed": cfg.common.seed,
        },
    )


def load_checkpoint(path) -> dict:
    """A checkpoint by torch's safe loader.

    Raises:
        UserError: the file is missing, cut short, or holds more than plain data.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such checkpoint; run the train stage first") from None
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise UserError(
            f"{path}: not a readable checkpoint, perhaps cut short ({reason}); "
            "delete it, or put back a copy, and run again"
        ) from None


def _distinct(model: dict) -> list[torch.Tensor]:
    """Tensors of a state dict, shared ones once."""
    return list({tensor.data_ptr(): tensor for tensor in model.values()}.values())


def _settings(cfg: DictConfig) -> dict:
    plain = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)
    assert isinstance(plain, dict)
    return {f"{group}.{key}": value for group in LEARNING for key, value in (plain[group] or {}).items()}


def _check_same_run(run: Run, settings: dict) -> None:
    """A folder holds one training; other settings need another name."""
    before = read_json(run.folder / "settings.json")
    if before is None:
        return
    display = {"common.log_interval", "common.log_format", "common.no_progress_bar"}
    changed = [key for key in sorted(settings.keys() | before.keys()) if settings.get(key) != before.get(key)]
    changed = [key for key in changed if key not in display]
    if changed:
        key = changed[0]
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise UserError(
            f"{run.folder} was trained with {key}={json.dumps(before.get(key))}, now it is "
            f"{json.dumps(settings.get(key))}{more}: give this run another name=..., or delete the folder"
        )


def _check_resumable(run: Run) -> None:
    """A last checkpoint that was cut short is named before fairseq trips over it.

    fairseq writes the best checkpoint whole and then copies it to the last, so a process killed in between leaves
    half a copy of a whole file. Training then continues from that one, with the same outcome.
    """
    last, best = run.checkpoints / "checkpoint_last.pt", run.checkpoints / "checkpoint_best.pt"
    if not last.exists():
        return
    try:
        state = load_checkpoint(last)
    except UserError as error:
        if not best.is_file():
            raise
        state = load_checkpoint(best)
        say(f"      {error}: the best one is whole")
        shutil.copyfile(best, last.with_suffix(".partial"))
        last.with_suffix(".partial").replace(last)
    say(f"      continues after {state['optimizer_history'][-1]['num_updates']:,} updates")
