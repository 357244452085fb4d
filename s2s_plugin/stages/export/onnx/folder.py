"""``s2s export RUN --onnx FOLDER``: a model as graphs of ONNX, with all that decoding needs and an example of it."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor

from s2s_plugin.datasets.frontends import check_installed
from s2s_plugin.errors import UserError
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.models.seq2seq import Seq2SeqModel
from s2s_plugin.search.options import BeamOptions
from s2s_plugin.stages.export.onnx.graphs import write_graphs
from s2s_plugin.tasks.checkpoint import load_model
from s2s_plugin.tasks.seq2seq import Seq2SeqTask
from s2s_plugin.text.characters import MEANINGLESS
from s2s_plugin.text.codec import PairCodec
from s2s_plugin.utils.console import note
from s2s_plugin.utils.io import atomic_folder, write_text
from s2s_plugin.utils.untrusted import load_yaml

PRECISIONS = ("fp32", "int8")
EXAMPLE = Path(__file__).with_name("translate.py")
SEARCH = ("beam", "lenpen", "max_len_a", "max_len_b", "min_len", "no_repeat_ngram_size", "search_patience")
QUANTIZED = ["MatMul", "LSTM", "Gather"]  # Gather: embeddings
SIGNAL_STEPS = 64  # of the longer item that graphs are traced with


def export_onnx(run: RunDir, folder: Path, precision: str) -> None:
    """Write the graphs, vocabularies, SentencePiece models, ``model.json`` and ``translate.py``.

    Raises:
        UserError: the folder exists, a package is missing, or ONNX cannot express the model.
    """
    if precision not in PRECISIONS:
        raise UserError(f"--onnx takes --precision {' or '.join(PRECISIONS)}, got {precision}")
    if folder.exists():
        raise UserError(f"{folder} exists: name another folder, or delete it")
    check_installed("s2s export --onnx", "onnx", {"onnx": "onnx", "onnxruntime": "onnxruntime"})
    model, _, task = load_model(run.best_checkpoint(), run.data)
    config = load_yaml(run.config)
    with atomic_folder(folder) as partial:
        write_graphs(model.eval(), *_sources(model, task), partial)
        if precision == "int8":
            _quantize(partial)
        sides = {"source": task.source_dictionary, "target": task.target_dictionary}
        for name, dictionary in sides.items():
            if dictionary is not None:
                write_text(partial / f"{name}.vocab", "\n".join(dictionary.symbols))
        if task.codec is not None:
            for name, side in {"source": task.codec.source, "target": task.codec.target}.items():
                if side is not None:
                    (partial / f"{name}.model").write_bytes(side.pieces.serialized_model_proto())
        write_text(partial / "model.json", json.dumps(_config(task) | _search(config), indent=1))
        shutil.copyfile(EXAMPLE, partial / EXAMPLE.name)


def _search(config: dict[str, Any]) -> dict[str, Any]:
    """Return the options of the search that ``translate.py`` has; say which it lacks."""
    options = BeamOptions.from_config(OmegaConf.create(config["generation"]), OmegaConf.create(config["task"]))
    defaults = asdict(BeamOptions())
    lacking = [name for name, value in asdict(options).items() if value != defaults[name] and name not in SEARCH]
    if lacking:
        note(f"{EXAMPLE.name} has no {', '.join(lacking)}: its outputs may differ from those of s2s translate")
    return {name: value for name, value in asdict(options).items() if name in SEARCH}


def _sources(model: Seq2SeqModel, task: Seq2SeqTask) -> tuple[Tensor, Tensor]:
    """Return two sources to trace the graphs with, and their lengths."""
    if task.source_dictionary is not None:
        steps = 7 * model.encoder.group
        lengths = torch.tensor([steps, 4 * model.encoder.group])
        return torch.arange(2 * steps).view(2, -1) % len(task.source_dictionary), lengths
    steps = task.source_shape[0] if task.modality == "image" else SIGNAL_STEPS
    lengths = torch.tensor([steps, steps if task.modality == "image" else steps // 2])
    return torch.rand(2, steps, *task.source_shape), lengths


def _config(task: Seq2SeqTask) -> dict[str, Any]:
    """Return what ``translate.py`` must know of the text and of the limits."""
    dictionary, codec, cfg = task.target_dictionary, task.codec, task.cfg
    source = None if codec is None else codec.source
    return {
        "modality": task.modality,
        "languages": [cfg.source_lang, cfg.target_lang],
        "reads": "features" if task.source_dictionary is None else "text" if _is_plain(codec) else "tokens",
        "lossless": source is not None and source.lossless,
        "normalization": "NFD" if source is not None and source.jamo else "NFC",
        "dropped": MEANINGLESS.pattern,
        "bos": dictionary.bos(),
        "pad": dictionary.pad(),
        "eos": dictionary.eos(),
        "unk": dictionary.unk(),
        "max_source": cfg.max_source_positions,
        "max_target": cfg.max_target_positions - 1,
    }


def _is_plain(codec: PairCodec | None) -> bool:
    """Return whether normalization and SentencePiece are all there is between text and tokens."""
    if codec is None or codec.source is None or codec.retrieval is not None or codec.copy_slots:
        return False
    source = codec.source
    return not (source.factors or source.strip or source.fold)


def _quantize(folder: Path) -> None:
    """Replace the graphs by ones of 8-bit weights, whose inputs are quantized as they come."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    for path in sorted(folder.glob("*.onnx")):
        exact = path.rename(path.with_suffix(".fp32"))
        quantize_dynamic(exact, path, op_types_to_quantize=QUANTIZED, per_channel=True, weight_type=QuantType.QInt8)
        exact.unlink()
