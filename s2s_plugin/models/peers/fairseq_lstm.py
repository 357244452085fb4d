"""Convert a model of fairseq's own ``lstm``."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

from s2s_plugin.errors import UserError
from s2s_plugin.models.peers.parts import Weights, recurrent_decoder, recurrent_encoder


def convert_lstm(stock: Weights, args: Namespace) -> tuple[dict[str, object], Weights]:
    """Return the options of our model for one of fairseq, and its weights.

    Args:
        stock: its weights, by fairseq's names.
        args: its arguments.

    Raises:
        UserError: it is of another architecture, or has a part that ours lacks.
    """
    _check(args)
    encoder_options, weights = recurrent_encoder(stock, "encoder.lstm")
    weights["encoder.embedding.table.weight"] = stock["encoder.embed_tokens.weight"]
    targets = stock["decoder.embed_tokens.weight"]
    decoder_options, decoder = recurrent_decoder(
        stock, lambda layer, gate: f"decoder.layers.{layer}.{gate}", targets.size(1), feeds_input=True
    )
    weights |= decoder
    weights["decoder.embedding.table.weight"] = targets
    for number, kind in enumerate(("hidden", "cell")):
        weights |= _linear(stock, f"decoder.encoder_{kind}_proj", f"decoder.rnn.bridge.project.{number}")
    attends = "decoder.attention.input_proj.weight" in stock
    if attends:  # it projects the query, ours the memory
        weights["decoder.rnn.attention.key.weight"] = stock["decoder.attention.input_proj.weight"].t()
        weights["decoder.rnn.combine.weight"] = stock["decoder.attention.output_proj.weight"]
    output = stock.get("decoder.fc_out.weight", targets)
    weights["decoder.generator.output.weight"] = output
    weights["decoder.generator.output.bias"] = stock.get("decoder.fc_out.bias", output.new_zeros(len(output)))
    weights |= _linear(stock, "decoder.additional_fc", "decoder.generator.project.0")
    tied = args.share_all_embeddings or args.share_decoder_input_output_embed
    options = {
        "dropout": args.dropout,
        "attention": "general" if attends else "none",
        "bridge": "copy",
        "decoder_output_dim": 0 if tied else args.decoder_out_embed_dim,
        "share_all_embeddings": bool(args.share_all_embeddings),
        "share_decoder_input_output_embed": bool(args.share_decoder_input_output_embed),
        "max_source_positions": getattr(args, "max_source_positions", 1024),
        "max_target_positions": getattr(args, "max_target_positions", 1024),
    }
    return encoder_options | decoder_options | options, weights


def _check(args: Namespace) -> None:
    """Raise UserError if these are the arguments of another architecture, or of a part that ours lacks."""
    arch = args.get("_name") if isinstance(args, Mapping) else args.arch
    if not str(arch).startswith("lstm"):
        ours = str(arch).startswith("s2s")
        remedy = "it is one of this plugin already, use it as it is" if ours else "use fairseq-generate with its task"
        raise UserError(f"expected a checkpoint of the architecture lstm, got {arch}; {remedy}")
    if getattr(args, "criterion", "") == "adaptive_loss":
        raise UserError("checkpoints with fairseq's adaptive softmax cannot be imported: its clusters differ from ours")


def _linear(stock: Weights, old: str, new: str) -> Weights:
    parts = ("weight", "bias") if f"{old}.weight" in stock else ()
    return {f"{new}.{part}": stock[f"{old}.{part}"] for part in parts}
