"""What a run's folder was trained with, and how its training goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from fairseq import tasks
from omegaconf import DictConfig, OmegaConf

from s2s_plugin.datasets.manifest import MODALITIES
from s2s_plugin.errors import UserError
from s2s_plugin.report.log import read_curves
from s2s_plugin.stages.effects import LENGTH_KEYS, NON_TRAINING_KEYS, TRAINING_GROUPS
from s2s_plugin.utils.checkpoint import load_checkpoint
from s2s_plugin.utils.console import say
from s2s_plugin.utils.io import fingerprint, read_json, write_json
from s2s_plugin.utils.run_dir import RunDir


def write_training_settings(cfg: DictConfig, run_dir: RunDir) -> None:
    """Record what the run is trained with, for the functions below."""
    write_json(run_dir.training_settings, {**_settings(cfg), "dictionaries": dictionary_fingerprints(cfg)})


def changed_settings(cfg: DictConfig, run_dir: RunDir) -> dict[str, tuple[Any, Any]]:
    """Return the options of the training that have changed since it began, with both values."""
    before, now = read_json(run_dir.training_settings) or {}, _settings(cfg)
    return {key: (before[key], now[key]) for key in sorted(now.keys() & before.keys()) if now[key] != before[key]}


def check_same_run(cfg: DictConfig, run_dir: RunDir) -> None:
    """Raise UserError if the folder was trained with other options; only the length of training may grow."""
    changed = changed_settings(cfg, run_dir)
    if LENGTH_KEYS.issuperset(changed) and all(now > before for before, now in changed.values()):
        return
    key, (before, now) = next(iter(changed.items()))
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    raise UserError(
        f"{run_dir.folder} was trained with {key}={json.dumps(before)}, now it is {json.dumps(now)}{more}: "
        "give this run another name=..., or delete the folder"
    )


def _settings(cfg: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)
    assert isinstance(plain, dict)
    settings = {f"{group}.{key}": value for group in TRAINING_GROUPS for key, value in (plain[group] or {}).items()}
    return {key: value for key, value in settings.items() if key not in NON_TRAINING_KEYS}


def check_dictionaries(cfg: DictConfig, run_dir: RunDir) -> None:
    """Raise UserError if the data has other dictionaries than the training had."""
    trained = (read_json(run_dir.training_settings) or {}).get("dictionaries", {})
    for lang, now in dictionary_fingerprints(cfg).items():
        if now != trained.get(lang):
            raise UserError(
                f"{cfg.task.data}/dict.{lang}.txt is not the dictionary that {run_dir.folder} was trained with; "
                "leave out data=... and subword=... to use the data of the training"
            )


def dictionary_fingerprints(cfg: DictConfig) -> dict[str, str]:
    """Return a fingerprint of each language's dictionary; signals have none."""
    paths = {lang: Path(cfg.task.data) / f"dict.{lang}.txt" for lang in (cfg.task.source_lang, cfg.task.target_lang)}
    return {lang: fingerprint(path) for lang, path in paths.items() if lang not in MODALITIES}


def check_finetuned_checkpoint(cfg: DictConfig) -> float:
    """Raise UserError if ``checkpoint.finetune_from_model`` is of another model or has other dictionaries.

    Returns:
        the seconds of its training, from which fairseq goes on to count.
    """
    path = Path(cfg.checkpoint.finetune_from_model)
    state = load_checkpoint(path)
    model = tasks.setup_task(cfg.task).build_model(cfg.model)
    shapes = [{name: value.shape for name, value in each.items()} for each in (state["model"], model.state_dict())]
    dictionaries = (read_json(RunDir(path.parent.parent).training_settings) or {}).get("dictionaries")
    if shapes[0] != shapes[1] or dictionaries not in (None, dictionary_fingerprints(cfg)):
        raise UserError(f"{path} has another model or vocabulary; finetune_from=RUN takes both from a run")
    return state["extra_state"].get("previous_training_time", 0)


def count_updates(run_dir: RunDir) -> int:
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
    updates = state["optimizer_history"][-1]["num_updates"]
    say(f"      continues after {updates:,} updates")
    return updates


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
