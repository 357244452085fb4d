"""What a web page needs of a packaged model: options, text side and weights in int8, as bytes that model.js reads."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from fairseq.data import Dictionary
from omegaconf import DictConfig, OmegaConf

from s2s_plugin.errors import UserError
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.models.config import Seq2SeqConfig
from s2s_plugin.package.archive import CHECKPOINT, WEIGHTS, PackageFile
from s2s_plugin.package.unpack import SHAPE, unpack_here
from s2s_plugin.package.weights import SCALE, count_parameters, pack_weights, read_tensors, unpack_weights
from s2s_plugin.search.options import BeamOptions
from s2s_plugin.stages.export.sentencepiece import read_model
from s2s_plugin.stages.schema import load_config
from s2s_plugin.tasks.loading import read_source_meta
from s2s_plugin.text.codec import PairCodec
from s2s_plugin.text.normalize import match_key
from s2s_plugin.utils.console import say
from s2s_plugin.utils.digests import read_prepared
from s2s_plugin.utils.io import read_json
from s2s_plugin.utils.paths import PACKAGE

ALIGNMENT = 16  # bytes
HEADER_BYTES = 4  # of its length, at the beginning
MAX_BEAM = 20
SIGNALS = ("audio", "image")
LANES = 8  # numbers that the kernel reads at once
CHOICES = {
    "decoder_type": ("luong", "bahdanau", "gnmt"),
    "attention": ("none", "dot", "general", "additive", "normalized", "location"),
    "coverage": ("none", "sum"),
}
# Options of the model that the page has, or that matter in training alone; all others must have their defaults.
MODEL = (
    *("encoder_embed_dim", "encoder_hidden_size", "encoder_layers", "encoder_cell", "encoder_bidirectional"),
    *("encoder_reversed", "encoder_eos", "encoder_channels", "encoder_convolutions", "encoder_embed_path", "ctc"),
    *("attention", "attention_size", "coverage", "bridge", "decoder_embed_dim", "decoder_hidden_size"),
    *("decoder_layers", "decoder_cell", "decoder_type", "decoder_readout", "decoder_readout_bias"),
    *("decoder_embed_path", "decoder_output_dim", "pointer", "dropout", "locked_dropout", "word_dropout", "residual"),
    *("layer_norm", "share_decoder_input_output_embed", "share_all_embeddings", "freeze_embeddings"),
    *("max_source_positions", "max_target_positions"),
)
MODEL_DEFAULTS = {each.name: each.default for each in fields(Seq2SeqConfig) if not each.name.startswith("_")}
WIDTHS = ("encoder_embed_dim", "decoder_embed_dim", "decoder_hidden_size", "decoder_output_dim", "attention_size")
# Options of the search that the page has; all others must have their defaults.
SEARCH = (
    *("beam", "max_len_a", "max_len_b", "min_len", "min_len_a", "unnormalized", "lenpen", "unkpen", "temperature"),
    *("no_repeat_ngram_size", "repetition_penalty", "wu_length_penalty", "coverage_penalty", "search_patience"),
    "ctc_search_weight",
)
SIDE = ("jamo", "strip", "lossless")  # of codec.json
UNSUPPORTED_SIDE = ("factors", "annotate", "interleaved", "fold")


def web_content(path: Path) -> tuple[dict[str, Any], bytes]:
    """Return a packaged model's description and its content for the page.

    Raises:
        UserError: the model has a part that the page lacks.
    """
    with PackageFile(path) as file:
        about, weights = file.about, file.read(WEIGHTS)
        stored = file.read_json(CHECKPOINT, SHAPE)
    run = unpack_here(path)
    cfg = load_config(run.config)
    model = MODEL_DEFAULTS | stored["model"]
    options = BeamOptions.from_config(cfg.generation, cfg.task)
    sides = read_json(run.data / PairCodec.FILE, PairCodec.SHAPE)
    signal = None if about["modality"] == "text" else read_source_meta(run.data)
    problems = (
        *_text_problems(about, sides),
        *_signal_problems(model, signal),
        *_model_problems(model),
        *_search_problems(cfg, options),
    )
    if problems:
        raise UserError(f"{path.stem}: a web page without a server does not support {problems[0]}; use s2s serve")
    if cfg.output_parser != "none":
        say(f"      a page has no parser of {cfg.output_parser}: it shows the best output, whether it parses or not")
    if about["precision"] != "int8":
        weights = pack_weights(unpack_weights(weights, str(path)), "int8")
    source, target = about["languages"]
    dictionaries = {"source": [], "target": _symbols(run, target)}
    if signal is None:
        dictionaries["source"] = _symbols(run, source)
    description = {  # as the explorer has it, see s2s_plugin/server/page/types.js
        "name": path.stem,
        "app": about["app"],
        "modality": about["modality"],
        "source": source,
        "target": target,
        "parameters": count_parameters(weights),
        "beam": options.beam,
        "lenpen": options.lenpen,
        "max_beam": MAX_BEAM,
        "neighbors": False,
        "chat": about["app"] == "chatbot",
    }
    header = {
        "about": description,
        "config": model,
        "search": {name: value for name, value in asdict(options).items() if name in SEARCH},
        "limits": {"source": cfg.task.max_source_positions, "target": cfg.task.max_target_positions - 1},
        "dictionaries": dictionaries,
        "codec": text_side(run.data, source if signal is None else target, target),
        "frontend": signal and signal["frontend"],
        "chat": _chat(run, cfg, target) if about["app"] == "chatbot" else None,
    }
    return description, join_content(header, weights)


def join_content(header: Mapping[str, Any], weights: bytes) -> bytes:
    """Return the content of a page: the header, as JSON behind its length, and the tensors of weights in int8.

    The header gets shape and place of each tensor by name; matrices of int8 also have the place of their scales.
    """
    arrays, tied = read_tensors(weights)
    places: dict[str, int] = {}
    body = bytearray()
    for name, array in arrays.items():
        places[name] = len(body)
        body += array.tobytes()
        body += bytes(-len(body) % ALIGNMENT)
    tensors = {}
    for name, array in arrays.items():
        if not name.endswith(SCALE) and array.dtype in (np.int8, np.float32):
            tensors[name] = {"shape": list(array.shape) or [1], "at": places[name]}
            if array.dtype == np.int8:
                tensors[name]["scale"] = places[name + SCALE]
    tensors |= {name: tensors[other] for name, other in tied.items()}
    text = json.dumps({**header, "tensors": tensors}, ensure_ascii=False).encode()
    start = HEADER_BYTES + len(text)
    return len(text).to_bytes(HEADER_BYTES, "little") + text + bytes(-start % ALIGNMENT) + body


def _text_problems(about: Mapping[str, Any], sides: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield what the page lacks of a text side, as codec.json describes it by language."""
    if sides is None:
        yield "text without a SentencePiece model"
    if "+" in "".join(about["languages"]):
        yield "models of several directions"
    for side in (sides or {}).values():
        yield from (f"{name} in its text" for name in UNSUPPORTED_SIDE if side.get(name))


def _signal_problems(model: Mapping[str, Any], signal: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield what the page lacks of a source that is no text, and of the encoder that reads it."""
    if signal is None:
        return
    if signal["modality"] not in SIGNALS:
        yield f"sources of {signal['modality']}"
        return
    channels, layers = model["encoder_channels"], model["encoder_convolutions"]
    if signal["modality"] == "image":
        width = channels * 2**layers
    else:
        mel_bins = signal["frontend"]["mel_bins"]
        width = channels * -(-mel_bins // 2**layers) if layers else mel_bins
    if width % LANES:
        yield f"convolutions of {width} outputs, which are no multiple of {LANES}: model.encoder_channels={channels}"


def _model_problems(model: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the page lacks of a model with these options."""
    yield from (f"model.{name}={model[name]}" for name, values in CHOICES.items() if model[name] not in values)
    for name, default in MODEL_DEFAULTS.items():
        if name not in MODEL and model[name] != default:
            yield f"model.{name}={model[name]}"
    directions = 1 if model["encoder_bidirectional"] == "none" else 2
    for name, unit in {**dict.fromkeys(WIDTHS, LANES), "encoder_hidden_size": directions * LANES}.items():
        if model[name] % unit:
            yield f"a width that is no multiple of {unit}: model.{name}={model[name]}"


def _search_problems(cfg: DictConfig, options: BeamOptions) -> Iterator[str]:
    """Yield what the page lacks of a search with these options, and parts of the user's own."""
    defaults = {each.name: each.default for each in fields(BeamOptions)}
    supported = (*SEARCH, "seed", "print_alignment")
    for name, value in asdict(options).items():
        if name not in supported and value != defaults[name]:
            yield f"{name}={value} of the search"
    if cfg.task.knn is not None:
        yield "task.knn"
    if OmegaConf.select(cfg, "common.user_dir") not in (None, PACKAGE.name):
        yield "parts of your own (common.user_dir)"


def _symbols(run: RunDir, lang: str) -> list[str]:
    return Dictionary.load(str(run.data / f"dict.{lang}.txt")).symbols


def text_side(folder: Path, source: str, target: str) -> dict[str, Any]:
    """Return what ``s2s_plugin/web/text/codec.js`` needs of a prepared folder that has a codec."""
    sides, codec = read_json(folder / PairCodec.FILE, PairCodec.SHAPE), PairCodec.load(folder, source, target)
    assert sides is not None and codec is not None
    files = list(dict.fromkeys(sides[lang]["model"] for lang in (source, target)))
    described = [
        {"model": files.index(sides[lang]["model"]), "tags": sides[lang].get("tags", [])}
        | {name: sides[lang].get(name, False) for name in SIDE}
        for lang in (source, target)
    ]
    return {
        "models": [read_model(folder / Path(name).name) for name in files],
        "source": described[0],
        "target": described[1],
        "copy_slots": codec.copy_slots,
        "retrieval": None if codec.retrieval is None else codec.retrieval.pairs,
    }


def _chat(run: RunDir, cfg: DictConfig, target: str) -> dict[str, Any]:
    """Return how a chatbot chooses its replies."""
    options = OmegaConf.to_container(cfg.chat)
    assert isinstance(options, dict)
    frequency = Counter(map(match_key, read_prepared(run.data / "text" / f"train.{target}")))
    return {**options, "history": cfg.data.history, "frequency": frequency}
