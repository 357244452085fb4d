"""Convert a recurrent model of JoeyNMT (1.x and 2.x)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from s2s_plugin.models.peers.parts import (
    HIDDEN_LOGIT,
    Imported,
    Special,
    Weights,
    by_our_ids,
    convert_vocabulary,
    embedding,
    recurrent_decoder,
    recurrent_encoder,
    require,
)

ATTENTIONS = {"luong": "general", "bahdanau": "additive"}
BRIDGES = {"bridge": "dense", "zero": "zero", "last": "copy"}


def convert_joeynmt(
    stock: Weights, model: Mapping[str, Any], special: Special, source: Sequence[str], target: Sequence[str]
) -> Imported:
    """Return our model for one of JoeyNMT.

    Args:
        stock: its weights, by its names.
        model: the section ``model`` of its config.
        special: its special tokens.
        source: tokens of the source vocabulary in the order of their ids.
        target: of the target vocabulary.

    Raises:
        UserError: it has a part that ours lacks.
    """
    encoder, decoder = model["encoder"], model["decoder"]
    require("encoder.rnn.weight_ih_l0" in stock and "decoder.rnn.weight_ih_l0" in stock, "it is not recurrent")
    require("encoder.rnn.weight_ih_l0_reverse" in stock, "its encoder is not bidirectional")
    activation = decoder.get("activation", "tanh")
    require(activation == "tanh", f"decoder.activation must be tanh, got {activation}")
    attention = ATTENTIONS.get(decoder.get("attention", "bahdanau"), "")
    require(attention != "", f"unknown decoder.attention {decoder.get('attention')}")

    source_dictionary, source_ids = convert_vocabulary(source, special)
    target_dictionary, target_ids = convert_vocabulary(target, special)
    encoder_options, weights = recurrent_encoder(stock, "encoder.rnn")
    sources = _table(stock["src_embed.lut.weight"], encoder)
    # Of a shared table the source's settings hold.
    targets = _table(stock["trg_embed.lut.weight"], encoder if model.get("tied_embeddings", False) else decoder)
    decoder_options, recurrent = recurrent_decoder(
        stock,
        lambda layer, gate: f"decoder.rnn.{gate}_l{layer}",
        targets.size(1),
        bool(decoder.get("input_feeding", True)),
    )
    hidden = stock["decoder.att_vector_layer.weight"].size(0)
    weights |= recurrent
    weights["encoder.embedding.table.weight"] = embedding(sources, source_ids, source_dictionary)
    weights["decoder.embedding.table.weight"] = embedding(targets, target_ids, target_dictionary, starts_with_bos=True)
    combine = stock["decoder.att_vector_layer.weight"]  # of [hidden; context], ours of [context; hidden]
    weights["decoder.rnn.combine.weight"] = torch.cat((combine[:, hidden:], combine[:, :hidden]), 1)
    weights["decoder.rnn.combine.bias"] = stock["decoder.att_vector_layer.bias"]
    weights |= {
        f"decoder.rnn.attention.{ours}.weight": stock[name]
        for ours, peer in (("key", "key_layer"), ("query", "query_layer"), ("energy", "energy_layer"))
        if (name := f"decoder.attention.{peer}.weight") in stock
    }
    if attention == "additive":
        weights["decoder.rnn.attention.query.bias"] = combine.new_zeros(hidden)
    weights["decoder.generator.output.weight"] = by_our_ids(stock["decoder.output_layer.weight"], target_ids)
    bias = combine.new_tensor([HIDDEN_LOGIT if peer < 0 else 0.0 for peer in target_ids])
    weights["decoder.generator.output.bias"] = bias
    bridge = BRIDGES.get(decoder.get("init_hidden", "bridge"), "zero")
    weights |= _bridge(stock, bridge, encoder_options, decoder_options)
    options = {
        "attention": attention,
        "attention_size": hidden,
        "bridge": bridge,
        "decoder_output_dim": hidden,
        "decoder_readout_bias": True,
    }
    return Imported(encoder_options | decoder_options | options, weights, source_dictionary, target_dictionary)


def _table(table: Tensor, side: Mapping[str, Any]) -> Tensor:
    """Return the embeddings of a side, scaled if its settings say so."""
    scaled = (side.get("embeddings") or {}).get("scale", False)
    return table * table.size(1) ** 0.5 if scaled else table


def _bridge(stock: Weights, bridge: str, encoder: Mapping[str, Any], decoder: Mapping[str, Any]) -> Weights:
    """Return the weights of the first state, which there is the same vector for all layers, hidden and cell state."""
    width, hidden = encoder["encoder_hidden_size"], decoder["decoder_hidden_size"]
    states = decoder["decoder_layers"] * (2 if decoder["decoder_cell"] == "lstm" else 1)
    if bridge == "dense":
        weight, bias = stock["decoder.bridge_layer.weight"], stock["decoder.bridge_layer.bias"]
        return {
            "decoder.rnn.bridge.project.weight": weight.repeat(states, 1),
            "decoder.rnn.bridge.project.bias": bias.repeat(states),
        }
    if bridge == "copy":
        require(
            decoder["decoder_cell"] == "gru", "init_hidden=last of an LSTM copies the hidden state to the cell state"
        )
        require(encoder["encoder_layers"] == 1, "init_hidden=last with several encoder layers")
        if width != hidden:  # it takes the forward direction alone
            weight = torch.eye(hidden, width)
            return {
                "decoder.rnn.bridge.project.0.weight": weight,
                "decoder.rnn.bridge.project.0.bias": torch.zeros(hidden),
            }
    return {}
