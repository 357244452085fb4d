"""Average the weights of several checkpoints of one training: ``average=N``, and ``s2s average CHECKPOINT ...``.

Junczys-Dowmunt, Dwojak and Sennrich 2016, "The AMU-UEDIN submission to the WMT16 news translation task".
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path

import torch
from fairseq import checkpoint_utils, utils
from fairseq.logging import metrics
from omegaconf import DictConfig

from s2s_plugin.errors import UserError
from s2s_plugin.inference.run_dir import AVERAGE, RunDir
from s2s_plugin.report.measures import UNIT
from s2s_plugin.tasks.checkpoint import load_checkpoint, load_model
from s2s_plugin.utils.checkpoint import save_checkpoint
from s2s_plugin.utils.console import say, say_command


def run(words: Sequence[str]) -> int:
    """Run ``s2s average``."""
    parser = argparse.ArgumentParser("s2s average", description=__doc__)
    parser.add_argument("checkpoints", nargs="+", type=Path, metavar="CHECKPOINT")
    parser.add_argument("--to", required=True, type=Path, metavar="FILE", help="checkpoint to write")
    options = parser.parse_args(words)
    if options.to.exists():
        raise UserError(f"{options.to} exists: name another file, or delete it")
    save_checkpoint(average_weights(options.checkpoints), options.to)
    print(f"{options.to}: the mean of {len(options.checkpoints)}, use it as any other checkpoint")
    return 0


def average_weights(paths: Sequence[Path]) -> dict:
    """Return the last checkpoint with the mean of all weights; what is not a float stays.

    It has no optimizer state, so training on from it requires ``--reset-optimizer``.

    Raises:
        UserError: a file is not a checkpoint, or they are of different models.
    """
    sums: dict[str, torch.Tensor] = {}
    for path in paths:
        state = load_checkpoint(path)
        model = state["model"]
        if not sums:
            sums = {name: torch.zeros(value.shape, dtype=torch.float64) for name, value in model.items()}
        for name in sorted(sums.keys() | model.keys()):
            if name not in sums or name not in model or sums[name].shape != model[name].shape:
                raise UserError(f"{path} is of another model than {paths[0]}: they differ in {name}")
            sums[name] += model[name]
    for name, value in model.items():
        if value.is_floating_point():
            model[name] = (sums[name] / len(paths)).to(value.dtype)
    extra = {key: value for key, value in (state.get("extra_state") or {}).items() if not key.startswith("ema")}
    return {**state, "extra_state": extra, "last_optimizer_state": None}


def resolve_averaging(cfg: DictConfig, overridden: Collection[str]) -> None:
    """Turn the moving average off if ``average`` is set; raise UserError if the command line asks for both."""
    if cfg.average < 0 or cfg.average == 1:
        raise UserError(f"average must be at least 2, or 0 for none, got {cfg.average}")
    if cfg.average and not {"ema", "ema.store_ema"} & set(overridden):
        cfg.ema.store_ema = False
    if cfg.average and cfg.ema.store_ema:
        raise UserError(f"average={cfg.average} and ema.store_ema=true are mutually exclusive")


def average_best(cfg: DictConfig, run_dir: RunDir, count: int, best: float) -> float:
    """Average the ``count`` best checkpoints; keep the mean if it validates no worse than ``best``.

    Returns:
        the better value.
    """
    metric, maximize = cfg.checkpoint.best_checkpoint_metric, cfg.checkpoint.maximize_best_checkpoint_metric
    pattern = rf"checkpoint\.best_{re.escape(metric)}_(\d+\.?\d*)\.pt"
    paths = [Path(path) for path in checkpoint_utils.checkpoint_paths(str(run_dir.checkpoints), pattern)]  # descending
    chosen = paths[:count] if maximize else paths[-count:]
    if len(chosen) < 2:
        say("      average: there is only one checkpoint")
        return best
    out = run_dir.checkpoints / AVERAGE
    say_command(shlex.join(["s2s", "average", *map(str, chosen), "--to", str(out)]))
    partial = out.with_name(f"{AVERAGE}.partial")
    save_checkpoint(average_weights(chosen), partial)
    value = validate(cfg, partial)
    better = value >= best if maximize else value <= best
    unit = f" ({UNIT})" if metric == "loss" else ""
    verdict = f"valid {metric} {value:.3f}, the best of them {best:.3f}: {'kept' if better else 'discarded'}{unit}"
    say(f"      average of {len(chosen)} checkpoints: {verdict}")
    if not better:
        partial.unlink()
        return best
    partial.replace(out)
    return value


def validate(cfg: DictConfig, checkpoint: Path) -> float:
    """Return the metric that selects the best checkpoint, of this checkpoint on the validation set."""
    model, saved, task = load_model(checkpoint, cfg.task.data)
    cuda = torch.cuda.is_available() and not cfg.common.cpu
    model, criterion = model.cuda() if cuda else model, task.build_criterion(saved.criterion).eval()
    subset = cfg.dataset.valid_subset.split(",")[0]
    task.load_dataset(subset)
    batches = task.get_batch_iterator(
        task.dataset(subset), max_tokens=cfg.dataset.max_tokens_valid, max_sentences=cfg.dataset.batch_size_valid
    ).next_epoch_itr(shuffle=False)
    logged = [task.valid_step(utils.move_to_cuda(b) if cuda else b, model, criterion)[2] for b in batches]
    with metrics.aggregate(new_root=True) as aggregated:
        task.reduce_metrics(logged, criterion)
    return aggregated.get_smoothed_values()[cfg.checkpoint.best_checkpoint_metric]
