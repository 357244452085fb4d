"""Convert a recurrent model of OpenNMT-py (1.x to 3.x)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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

SPECIAL = Special(pad="<blank>")
ATTENTIONS = {"general": "general", "dot": "dot", "mlp": "additive", "none": "none", None: "none"}
TABLE = "embeddings.make_embedding.emb_luts.0.weight"
PLAIN = {  # options, and what they must be
    "bridge": False,
    "context_gate": None,
    "coverage_attn": False,
    "global_attention_function": "softmax",
    "generator_function": "softmax",
    "position_encoding": False,
}


def convert_opennmt(
    stock: Weights, generator: Weights, args: Mapping[str, Any], source: Sequence[str], target: Sequence[str]
) -> Imported:
    """Return our model for one of OpenNMT-py.

    Args:
        stock: weights of encoder and decoder, by its names.
        generator: weights of the generator.
        args: its options.
        source: tokens of the source vocabulary in the order of their ids.
        target: of the target vocabulary.

    Raises:
        UserError: it has a part that ours lacks.
    """
    for name, value in PLAIN.items():
        require(args.get(name, value) in (value, None), f"{name} must be {value}, got {args.get(name)}")
    kinds = args.get("encoder_type", "rnn"), args.get("decoder_type", "rnn")
    require(kinds[0] in ("rnn", "brnn") and kinds[1] in ("rnn", "ifrnn"), f"it is a {kinds[0]} and {kinds[1]}, not rnn")
    extra = "embeddings.make_embedding.emb_luts.1.weight"
    require(not {f"{side}.{extra}" for side in ("encoder", "decoder")} & stock.keys(), "it has word features")
    copies = bool(args.get("copy_attn"))
    require(not copies or bool(args.get("reuse_copy_attn")), "copy_attn requires reuse_copy_attn")
    require("decoder.copy_attn.linear_out.weight" not in stock, "it has an attention for copying alone")
    attention = ATTENTIONS.get(args.get("global_attention", "general"), "")
    require(attention != "", f"unknown global_attention {args.get('global_attention')}")

    source_dictionary, source_ids = convert_vocabulary(source, SPECIAL)
    target_dictionary, target_ids = convert_vocabulary(target, SPECIAL)
    encoder_options, weights = recurrent_encoder(stock, "encoder.rnn")
    feeds = "decoder.rnn.layers.0.weight_ih" in stock  # else it is one of torch's, without input feeding
    decoder_options, decoder = recurrent_decoder(
        stock,
        (lambda layer, gate: f"decoder.rnn.layers.{layer}.{gate}")
        if feeds
        else lambda n, gate: f"decoder.rnn.{gate}_l{n}",
        stock[f"decoder.{TABLE}"].size(1),
        feeds,
    )
    hidden = decoder_options["decoder_hidden_size"]
    weights |= decoder | _attention(stock, attention)
    weights["encoder.embedding.table.weight"] = embedding(stock[f"encoder.{TABLE}"], source_ids, source_dictionary)
    table = embedding(stock[f"decoder.{TABLE}"], target_ids, target_dictionary, starts_with_bos=True)
    weights["decoder.embedding.table.weight"] = table
    weights |= _generator(generator, target_ids, copies, target_dictionary.pad())
    options = {
        "attention": attention,
        "attention_size": hidden,
        "bridge": "copy",
        "decoder_output_dim": hidden,
        "decoder_readout": "linear" if attention == "additive" else "tanh",
        "decoder_readout_bias": attention == "additive",
        "encoder_eos": False,
        "pointer": copies,
    }
    return Imported(encoder_options | decoder_options | options, weights, source_dictionary, target_dictionary)


def _attention(stock: Weights, attention: str) -> Weights:
    """Return the weights of attention and readout; "general" projects the query there, the memory here."""
    if attention == "none":
        return {}
    weights = {"decoder.rnn.combine.weight": stock["decoder.attn.linear_out.weight"]}
    if attention == "general":
        weights["decoder.rnn.attention.key.weight"] = stock["decoder.attn.linear_in.weight"].t()
    if attention == "additive":
        weights["decoder.rnn.combine.bias"] = stock["decoder.attn.linear_out.bias"]
        weights["decoder.rnn.attention.key.weight"] = stock["decoder.attn.linear_context.weight"]
        weights["decoder.rnn.attention.query.weight"] = stock["decoder.attn.linear_query.weight"]
        weights["decoder.rnn.attention.query.bias"] = stock["decoder.attn.linear_query.bias"]
        weights["decoder.rnn.attention.energy.weight"] = stock["decoder.attn.v.weight"]
    return weights


def _generator(stock: Weights, ids: Sequence[int], copies: bool, pad: int) -> Weights:
    prefix = "linear." if copies else "0." if "0.weight" in stock else ""
    weights = {f"decoder.generator.output.{part}": by_our_ids(stock[prefix + part], ids) for part in ("weight", "bias")}
    for number, peer in enumerate(ids):
        if peer < 0:
            weights["decoder.generator.output.bias"][number] = HIDDEN_LOGIT
    if copies:  # its switch is the probability of copying, ours that of not copying
        weights["decoder.generator.output.bias"][pad] = HIDDEN_LOGIT
        weights |= {f"decoder.generator.switch.{part}": -stock[f"linear_copy.{part}"] for part in ("weight", "bias")}
    return weights
