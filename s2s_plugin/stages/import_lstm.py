"""``s2s import-lstm CHECKPOINT``: convert a checkpoint of fairseq's own ``lstm`` to one of ours."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from fairseq import checkpoint_utils
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from omegaconf import OmegaConf

from s2s_plugin.errors import UserError
from s2s_plugin.models.import_lstm import convert_config, convert_parameters
from s2s_plugin.utils.checkpoint import save_checkpoint


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
    if not source.is_file():
        raise UserError(f"{source}: no such file")
    try:
        state = checkpoint_utils.load_checkpoint_to_cpu(str(source))
    except Exception as error:  # torch raises anything on a foreign file
        raise UserError(f"{source}: not a fairseq checkpoint, or a damaged one ({type(error).__name__})") from None
    cfg = dict(state.get("cfg") or convert_namespace_to_omegaconf(state["args"]))
    args, task = cfg.pop("model"), cfg.pop("task")
    task = task if isinstance(task, Mapping) else vars(task)
    model = convert_config(args)
    task_keys, positions = ("data", "source_lang", "target_lang"), ("max_source_positions", "max_target_positions")
    plain = {key: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value for key, value in cfg.items()}
    plain |= {
        "model": model,
        "task": {"_name": "s2s", **{key: task.get(key) for key in task_keys}, **{key: model[key] for key in positions}},
        "criterion": {"_name": "s2s_cross_entropy", "label_smoothing": 0.1, "sentence_avg": False},
    }
    history = state.get("optimizer_history") or [{}]
    converted = {
        "args": None,
        "cfg": plain,
        "model": convert_parameters(state["model"], args),
        "criterion": None,
        "optimizer_history": [{**history[-1], "criterion_name": "Seq2SeqCriterion"}],
        "task_state": {},
        "extra_state": {},
        "last_optimizer_state": None,
    }
    save_checkpoint(converted, out)
