"""Read checkpoints of other toolkits without executing anything, and write them as ours."""

from __future__ import annotations

import argparse
import zipfile
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from fairseq.dataclass.configs import FairseqConfig
from omegaconf import OmegaConf
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint

from s2s_plugin.errors import UserError
from s2s_plugin.models.config import Seq2SeqConfig
from s2s_plugin.models.peers.parts import Imported
from s2s_plugin.tasks.stored_config import check_config
from s2s_plugin.utils.checkpoint import allow_only, save_checkpoint
from s2s_plugin.utils.io import atomic_folder
from s2s_plugin.utils.paths import PACKAGE
from s2s_plugin.utils.untrusted import is_plain_tensor, require_file, show

LANGUAGES = ("src", "tgt")
POSITIONS = {"max_source_positions": 1024, "max_target_positions": 1024}
CHECKPOINT = "checkpoint_best.pt"
OLD = (  # in checkpoints of torch before 1.6, which do not list them
    "torchtext.data.field.Field", "torchtext.data.field.RawField", "torchtext.vocab.Vocab",
    "torchtext.vocab._default_unk_index", "torchtext.data.pipeline.Pipeline", "collections.defaultdict",
    "collections.Counter", "functools.partial", "onmt.inputters.text_dataset.TextMultiField",
    "onmt.inputters.text_dataset._feature_tokenize", "onmt.inputters.inputter.make_src",
    "onmt.inputters.inputter.make_tgt", "torchtext.data.utils._split_tokenizer",
)  # fmt: skip


class Inert(dict):
    """Stands for every class and function in a pickle: it keeps what it is given, and does nothing."""

    def __init__(self, *_: object, **__: object):
        super().__init__()

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            vars(self).update(state)


def load_foreign(path: Path) -> dict[str, Any]:
    """Load a checkpoint of another toolkit; objects of its classes become :class:`Inert`.

    torch's safe loader reads it, so that nothing in it is executed.

    Raises:
        UserError: it is no checkpoint, or damaged.
    """
    require_file(path, "checkpoint")
    try:
        with allow_only([Namespace]):
            names = get_unsafe_globals_in_checkpoint(path) if zipfile.is_zipfile(path) else OLD
        inert = [(Inert, name) for name in names if name != "argparse.Namespace"]
        with allow_only([Namespace, *inert]):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises anything on a damaged or foreign file
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: not a checkpoint that can be read ({show(reason, 120)[1:-1]})") from None
    if not isinstance(state, dict):
        raise UserError(f"{path}: not a checkpoint but {show(state)}; name another file")
    return state


def weights_of(state: Any, path: Path) -> dict[str, Tensor]:
    """Return the tensors of a state dict, as fp32.

    Raises:
        UserError: it has something else.
    """
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) and is_plain_tensor(value) for name, value in state.items()
    ):
        raise UserError(f"{path}: its weights must be tensors; name another file")
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def write_imported(model: Imported, out: Path) -> None:
    """Write a folder with the checkpoint and the dictionaries; it has no optimizer state."""
    config = {**asdict(Seq2SeqConfig()), **POSITIONS, **model.options, "dropout": 0.2, "_name": "s2s"}
    cfg: Any = OmegaConf.to_container(OmegaConf.structured(FairseqConfig), resolve=True, enum_to_str=True)
    languages = dict(zip(("source_lang", "target_lang"), LANGUAGES, strict=True))
    cfg |= {
        "model": config,
        "task": {"_name": "s2s", "data": str(out), **languages, **POSITIONS},
        "criterion": {"_name": "s2s_cross_entropy", "label_smoothing": 0.1, "sentence_avg": False},
    }
    history = {"criterion_name": "Seq2SeqCriterion", "optimizer_name": "", "lr_scheduler_state": {}, "num_updates": 0}
    state = {
        "args": None,
        "cfg": check_config(cfg, FairseqConfig, out),
        "model": {name: value.clone().contiguous() for name, value in model.weights.items()},
        "criterion": None,
        "optimizer_history": [history],
        "task_state": {},
        "extra_state": {},
        "last_optimizer_state": None,
    }
    with atomic_folder(out) as partial:
        for language, dictionary in zip(LANGUAGES, (model.source, model.target), strict=True):
            dictionary.save(str(partial / f"dict.{language}.txt"))
        save_checkpoint(state, partial / CHECKPOINT)


def parse(name: str, words: Sequence[str], argument: str, description: str | None) -> tuple[Path, Path]:
    """Return the path that a command reads and the folder that it writes."""
    parser = argparse.ArgumentParser(name, description=description)
    parser.add_argument("source", type=Path, metavar=argument)
    parser.add_argument("out", nargs="?", type=Path, metavar="OUT", help=f"folder to write; default: {argument}-s2s")
    options = parser.parse_args(words)
    out = options.out or options.source.with_name(options.source.name + "-s2s")
    if out.exists():
        raise UserError(f"{out} exists: name another folder, or delete it")
    return options.source, out


def explain(out: Path) -> str:
    """Return how the folder is used."""
    languages = "--source-lang {} --target-lang {}".format(*LANGUAGES)
    task = f"--user-dir {PACKAGE} --task s2s {languages}"
    return f"{out}: fairseq-interactive {out} {task} --path {out / CHECKPOINT} decodes tokens"
