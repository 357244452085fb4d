"""``s2s import-lstm CHECKPOINT``: convert a checkpoint of fairseq's own ``lstm`` to one of ours."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fairseq.dataclass.configs import FairseqConfig

from s2s_plugin.errors import UserError
from s2s_plugin.models.peers.fairseq_lstm import convert_lstm
from s2s_plugin.models.peers.parts import Imported
from s2s_plugin.stages.importing.command import arguments, check_new, import_run
from s2s_plugin.stages.importing.foreign import converting
from s2s_plugin.stages.importing.run import Foreign, model_config, stored_config
from s2s_plugin.tasks.config import Seq2SeqTaskConfig
from s2s_plugin.tasks.loading import data_folder, infer_languages, load_dictionary
from s2s_plugin.tasks.stored_config import check_config
from s2s_plugin.utils.checkpoint import load_plain, save_checkpoint, untrained_state

TASK = ("data", "source_lang", "target_lang")


def run(words: Sequence[str]) -> int:
    """Run ``s2s import-lstm``."""
    parser = arguments("s2s import-lstm", "CHECKPOINT", __doc__, "the file CHECKPOINT with .s2s.pt for .pt")
    parser.add_argument("--data", type=Path, metavar="DIR", help="with dict.LANG.txt, for RUN; default: as stored")
    options = parser.parse_args(words)
    if options.run is not None and options.run.suffix != ".pt":
        return import_run(options, lambda path: read_lstm(path, options.data))
    out = options.run or options.source.with_suffix(".s2s.pt")
    check_new(out, "file")
    convert(options.source, out)
    print(f"{out}: use it as any other, with --user-dir s2s_plugin --task s2s")
    return 0


def read_lstm(path: Path, data: Path | None) -> Foreign:
    """Return the model of a checkpoint as ours, with the dictionaries of its data or of the folder ``data``.

    Raises:
        UserError: it is no such checkpoint, or a dictionary is missing.
    """
    model, weights, task, _ = _read(path)
    cfg = Seq2SeqTaskConfig(**task)
    cfg.data = str(data or task["data"])
    infer_languages(cfg)
    languages = str(cfg.source_lang), str(cfg.target_lang)
    dictionaries = [load_dictionary(data_folder(cfg), language) for language in languages]
    return Foreign("fairseq", Imported(model, weights, *dictionaries), languages)


def convert(source: Path, out: Path) -> None:
    """Write the checkpoint ``out``; it has no optimizer state, so training on requires ``--reset-optimizer``."""
    options, weights, task, updates = _read(source)
    cfg = check_config(stored_config(model_config(options), task), FairseqConfig, source)
    save_checkpoint(untrained_state(cfg, weights, updates), out)


def _read(source: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], int]:
    """Return options and weights of our model, the options of the task, and how many updates there were."""
    if not os.path.lexists(source):
        raise UserError(f"{source}: no such file")
    try:
        state = load_plain(source)
    except UserError as error:
        raise UserError(f"{source}: not a fairseq checkpoint, or a damaged one: {error}") from None
    stored: Any = state["cfg"] if isinstance(state.get("cfg"), dict) else {}
    args, task = (stored.get(part, state.get("args")) for part in ("model", "task"))
    task = task if isinstance(task, Mapping) else vars(task) if isinstance(task, Namespace) else {}
    with converting(source, "a checkpoint of fairseq's lstm"):
        options, weights = convert_lstm(state["model"], args)
        weights = {name: value.clone() for name, value in weights.items()}
        updates = (state.get("optimizer_history") or [{}])[-1].get("num_updates", 0)
    return options, weights, {key: task.get(key) for key in TASK}, updates
