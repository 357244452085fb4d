"""Pictures and recordings in the page: the outputs of Python's search in int8."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from node import NEEDS_NODE, run_module
from page_content import page_content

from s2s_plugin.models.build import SIGNAL_ENCODERS, build_decoder
from s2s_plugin.models.seq2seq import Seq2SeqConfig, Seq2SeqModel
from s2s_plugin.package.weights import pack_weights, unpack_weights
from s2s_plugin.search.build import build_search
from s2s_plugin.search.options import BeamOptions
from s2s_plugin.stages.export.web_model import _signal_problems
from s2s_plugin.text.vocabulary import SubwordConfig, learn_codec

DECODE = """
import { Model } from "./model.js";
const run = ({ content, sources }) => {
  const kernel = new Uint8Array(fs.readFileSync("kernel/kernel.wasm"));
  const model = new Model(new Uint8Array(Buffer.from(content, "base64")), kernel);
  const read = ({ length, values }) => ({ length, values: Float32Array.from(values) });
  return model.decode(sources.map(read)).map(([output]) => output);
};
"""
SHAPES = {"audio": (20,), "image": (24, 3)}  # of a step
SIZES = dict.fromkeys(("encoder_hidden_size", "decoder_hidden_size", "attention_size"), 128)
SIZES |= {"decoder_embed_dim": 64, "encoder_channels": 8, "encoder_convolutions": 2}
SIZES |= {"max_source_positions": 999, "max_target_positions": 99}
COUNT = 20
CTC = {"ctc": True, "attention": "location"}
# Modality, options of the model and of the search.
VARIANTS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "picture": ("image", {"attention": "additive"}, {"beam": 4}),
    "picture_copy": ("image", {"bridge": "copy", "decoder_layers": 2, "encoder_convolutions": 1}, {"beam": 1}),
    "speech": ("audio", CTC | {"encoder_layers": 2}, {"beam": 4, "ctc_search_weight": 0.5}),
    "speech_greedy": ("audio", CTC | {"encoder_channels": 16}, {"beam": 1, "ctc_search_weight": 0.3, "min_len": 3}),
    "no_ctc": ("audio", {"encoder_convolutions": 1, "bridge": "copy", "encoder_layers": 2}, {"beam": 3}),
    "ctc_unused": ("audio", CTC | {"decoder_type": "bahdanau"}, {"beam": 3, "no_repeat_ngram_size": 2}),
}


def build(modality: str, options: dict[str, Any], dictionary: Any) -> tuple[Seq2SeqModel, Seq2SeqConfig]:
    torch.manual_seed(1)
    config = Seq2SeqConfig(**(SIZES | options))
    encoder = SIGNAL_ENCODERS[modality](config, SHAPES[modality])
    ctc = torch.nn.Linear(128, len(dictionary)) if config.ctc else None
    model = Seq2SeqModel(encoder, build_decoder(config, encoder, dictionary), ctc).eval()
    with torch.no_grad():  # so that outputs differ
        for name, value in model.named_parameters():
            if "norm" in name and name.endswith("weight"):
                value.uniform_(0.5, 2)
        model.decoder.generator.output.weight.mul_(6)
        if ctc is not None:
            ctc.weight.mul_(20)
    return model, config


@NEEDS_NODE
@pytest.mark.parametrize(
    "variant",
    [name if name in ("picture", "speech") else pytest.param(name, marks=pytest.mark.slow) for name in VARIANTS],
)
def test_outputs_are_those_of_python(variant: str, tmp_path: Path):
    modality, options, search_options = VARIANTS[variant]
    texts = [" ".join("abcdefghijklmnopqrstuvw")] * 3
    codec = learn_codec(SubwordConfig(kind="word", size=40), tmp_path, {"de": texts})
    dictionary = codec.target.dictionary()
    model, config = build(modality, options, dictionary)
    weights = pack_weights(model.state_dict(), "int8")
    model.load_state_dict(unpack_weights(weights, "test"))
    beam_options = BeamOptions(max_len_b=12, **search_options)
    lengths = [24] * COUNT if modality == "image" else torch.randint(5, 90, (COUNT,)).tolist()
    shape = SHAPES[modality]
    sources = [
        3 * (torch.randn(length, *shape) + torch.randn(1, *[1] * (len(shape) - 1), shape[-1])) for length in lengths
    ]
    content = page_content(tmp_path, config, beam_options, weights, dictionary, modality)
    values = [{"length": len(source), "values": source.flatten().tolist()} for source in sources]
    found = run_module(DECODE, {"content": base64.b64encode(content).decode(), "sources": values})
    search = build_search([model], dictionary, beam_options, "int8")
    same, outputs = 0, set()
    for source, mine in zip(sources, found, strict=True):
        sample = {"net_input": {"src_tokens": source[None], "src_lengths": torch.tensor([len(source)])}}
        best = search.generate([model], sample)[0][0]
        tokens = [dictionary[number] for number in best["tokens"].tolist()]
        outputs.add(tuple(tokens))
        if mine["tokens"] == tokens:
            same += 1
            assert mine["score"] == pytest.approx(best["score"], abs=0.02)
    assert same >= COUNT - 1, f"{same} of {COUNT}"  # a rounding to int8 may turn, and the output with it
    assert len(outputs) > 3


@pytest.mark.parametrize(
    ("modality", "frontend", "model", "problem"),
    [
        ("video", {}, {}, "sources of video"),
        ("image", {}, {"encoder_channels": 3}, "12 outputs, .* model.encoder_channels=3"),
        ("audio", {"mel_bins": 20}, {"encoder_channels": 3}, "15 outputs, .* model.encoder_channels=3"),
    ],
)
def test_what_a_page_lacks_is_named(modality: str, frontend: dict, model: dict, problem: str):
    (found,) = _signal_problems(SIZES | model, {"modality": modality, "frontend": frontend})
    assert re.search(problem, found)
