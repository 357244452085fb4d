"""``s2s import-lstm CHECKPOINT``: convert a checkpoint of fairseq's own ``lstm`` to one of ours."""

from __future__ import annotations

import argparse
import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fairseq.dataclass.configs import FairseqConfig
from omegaconf import OmegaConf

from s2s_plugin.errors import UserError
from s2s_plugin.models.import_lstm import convert_config, convert_parameters
from s2s_plugin.tasks.stored_config import check_config
from s2s_plugin.utils.checkpoint import load_plain, save_checkpoint
from s2s_plugin.utils.untrusted import show


def run(words: Sequence[str]) -> int:
    """Run ``s2s import-lstm``."""
    parser = argparse.ArgumentParser("s2s import-lstm", description=__doc__)
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
    parser.add_argument("out", nargs="?", type=Path, metavar="OUT", help="default: CHECKPOINT with .s2s.pt for .pt")
    options = parser.parse_args(words)
    out = options.out or options.checkpoint.with_suffix(".s2s.pt")
    if out.exists():
        raise UserError(f"{out} exists: name another file, or delete it")
    convert(options.checkpoint, out)
    print(f"{out}: use it as any other, with --user-dir s2s_plugin --task s2s")
    return 0


def convert(source: Path, out: Path) -> None:
    """Write the checkpoint ``out``; it has no optimizer state, so training on requires ``--reset-optimizer``."""
    if not os.path.lexists(source):
        raise UserError(f"{source}: no such file")
    try:
        state = load_plain(source)
    except UserError as error:
        raise UserError(f"{source}: not a fairseq checkpoint, or a damaged one: {error}") from None
    stored: Any = state["cfg"] if isinstance(state.get("cfg"), dict) else {}
    args, task = (stored.get(part, state.get("args")) for part in ("model", "task"))
    task = task if isinstance(task, Mapping) else vars(task) if isinstance(task, Namespace) else {}
    try:
        model = convert_config(args)
        parameters = convert_parameters(state["model"], args)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError, IndexError) as error:
        raise UserError(f"{source}: not a checkpoint of fairseq's lstm ({show(str(error))}); name another") from None
    task_keys, positions = ("data", "source_lang", "target_lang"), ("max_source_positions", "max_target_positions")
    cfg: Any = OmegaConf.to_container(OmegaConf.structured(FairseqConfig), resolve=True, enum_to_str=True)
    cfg |= {
        "model": model,
        "task": {"_name": "s2s", **{key: task.get(key) for key in task_keys}, **{key: model[key] for key in positions}},
        "criterion": {"_name": "s2s_cross_entropy", "label_smoothing": 0.1, "sentence_avg": False},
    }
    cfg = check_config(cfg, FairseqConfig, source)
    history = state.get("optimizer_history") or [{}]
    converted = {
        "args": None,
        "cfg": cfg,
        "model": parameters,
        "criterion": None,
        "optimizer_history": [{**history[-1], "criterion_name": "Seq2SeqCriterion"}],
        "task_state": {},
        "extra_state": {},
        "last_optimizer_state": None,
    }
    save_checkpoint(converted, out)
