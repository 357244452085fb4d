"""``finetune_from=RUN``: start from the model and the vocabulary of another run, and train on other data."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from s2s_plugin.criterions.consolidation import consolidate
from s2s_plugin.datasets.manifest import MODALITIES
from s2s_plugin.errors import UserError
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.models.embedding import FROM_CHECKPOINT
from s2s_plugin.stages.same_run import refusal
from s2s_plugin.stages.schema import load_config
from s2s_plugin.tasks.checkpoint import load_checkpoint, load_model
from s2s_plugin.tasks.loading import read_source_meta
from s2s_plugin.text.codec import PairCodec
from s2s_plugin.utils.paths import existing_form
from s2s_plugin.utils.progress import Progress

OVERRIDABLE = {"dropout", "locked_dropout", "word_dropout", "freeze_embeddings"}  # may differ from the other run's
FISHER_PAIRS = 500  # of the other run's training, to estimate the Fisher information from
DATA_KEYS = {"max_source_positions", "max_target_positions", "box", "max_seconds", "max_megapixels"}  # of this data


def init_from_run(cfg: DictConfig, run_dir: RunDir, overridden: Collection[str]) -> None:
    """Set, in ``cfg``, the model, the vocabulary and the frontend to those of the run ``cfg.finetune_from``.

    Raises:
        UserError: the run is not usable, of other languages, or the command line overrides its model or vocabulary.
    """
    base = _find_run(cfg, run_dir)
    checkpoint = base.best_checkpoint()
    state = load_checkpoint(checkpoint)
    saved = load_config(base.config)
    task, data = state["cfg"]["task"], cfg.data
    if (task["source_lang"], task["target_lang"]) != (data.source_lang, data.target_lang):
        raise UserError(
            f"finetune_from requires the languages of {base.folder}, from {task['source_lang']} to "
            f"{task['target_lang']}, got data from {data.source_lang} to {data.target_lang}"
        )
    if cfg.ema.store_ema and "ema" not in state["extra_state"]:
        if "ema.store_ema" in overridden:
            raise UserError(f"{base.folder} has no EMA weights to resume: set ema.store_ema=false")
        cfg.ema.store_ema = False
    folder = base.data if base.data.is_dir() else Path(task["data"])
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder, whose vocabulary {base.folder} has; prepare that data again")
    if base.read_origin() is not None and not (folder / PairCodec.FILE).is_file():
        raise UserError(f"{base.folder} reads tokens; to train on from it, import it with the model of its subwords")
    model = dict(state["cfg"]["model"])
    vectors = {key: FROM_CHECKPOINT for key in ("encoder_embed_path", "decoder_embed_path") if model[key]}
    _keep(cfg, "model", model | vectors, overridden)
    _keep(cfg, "subword", {**saved.subword, "from_dir": str(folder)}, overridden)
    _keep(cfg, "data", {"retrieval": saved.data.retrieval}, set(overridden) - {"data"})  # other data may be chosen
    if data.source_lang in MODALITIES:
        _keep(cfg, data.source_lang, read_source_meta(folder)["frontend"], overridden)
    cfg.checkpoint.finetune_from_model = str(checkpoint)


def write_fisher(cfg: DictConfig) -> None:
    """Write what ``criterion.ewc`` needs of the run that is fine-tuned to ``criterion.ewc_file``, unless it is there.

    Raises:
        UserError: the training set of that run is gone.
    """
    if not cfg.criterion.get("ewc") or cfg.checkpoint.finetune_from_model is None:
        return
    path, checkpoint = Path(cfg.criterion.ewc_file), Path(cfg.checkpoint.finetune_from_model)
    if path.is_file():
        return
    folder = Path(RunDir(checkpoint.parent.parent).read_settings().get("task.data", ""))
    if not folder.is_dir():
        raise UserError(f"{folder}: the training pairs of {checkpoint}, which criterion.ewc needs, are gone")
    model, _, task = load_model(checkpoint, folder)
    task.load_dataset("train")
    dataset = task.dataset("train")
    chosen = np.random.default_rng(cfg.common.seed).permutation(len(dataset))[:FISHER_PAIRS]
    progress = Progress(chosen, "Fisher information", unit=" pairs")
    consolidate(model, (dataset.collater([dataset[number]]) for number in progress)).save(path)


def check_same_base(cfg: DictConfig, run_dir: RunDir, before: DictConfig) -> None:
    """Raise UserError if ``cfg.finetune_from`` is another run than that of the config ``before``."""
    base = _find_run(cfg, run_dir)
    checkpoint = before.checkpoint.finetune_from_model
    if checkpoint is None or Path(checkpoint).parent.parent.resolve() != base.folder.resolve():
        raise refusal(run_dir.folder, "finetune_from", before.finetune_from, cfg.finetune_from)


def _find_run(cfg: DictConfig, run_dir: RunDir) -> RunDir:
    """Return the run of that folder, or of that name among those of the app."""
    # Relative paths, so that another spelling is the same setting.
    names = (cfg.finetune_from, str(run_dir.folder.parent / cfg.finetune_from))
    folders = [Path(os.path.relpath(existing_form(name))) for name in names]
    for base in map(RunDir, folders):
        if base.config.is_file():
            if base.folder.resolve() == run_dir.folder.resolve():
                raise UserError(f"finetune_from={cfg.finetune_from} is this run itself: give the new one a name=...")
            return base
    raise UserError(f"finetune_from={cfg.finetune_from}: there is no run in {folders[0]} or {folders[1]}")


def _keep(cfg: DictConfig, group: str, values: dict[str, Any], overridden: Collection[str]) -> None:
    """Set a group of the config to the other run's values; raise if the command line overrides one of them."""
    for key, value in values.items():
        if key in DATA_KEYS:
            continue
        if group not in overridden and f"{group}.{key}" not in overridden:
            cfg[group][key] = value
        elif key not in OVERRIDABLE and cfg[group][key] != value:
            raise UserError(
                f"finetune_from requires {group}.{key}={_format(value)} of {cfg.finetune_from}, "
                f"got {_format(cfg[group][key])}; leave {group}.{key} out"
            )


def _format(value: Any) -> str:
    return json.dumps(OmegaConf.to_container(value) if OmegaConf.is_config(value) else value, ensure_ascii=False)
