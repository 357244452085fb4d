"""fairseq's own ``lstm`` as one of our models: the same numbers under our names."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

import torch
from torch import Tensor

from s2s_plugin.errors import UserError
from s2s_plugin.models.config import Seq2SeqConfig

GATES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def config_of(args: Namespace) -> dict:
    """Our model's config for the arguments of a stock one.

    Raises:
        UserError: it has what ours has not.
    """
    arch = getattr(args, "arch", "?")
    if not arch.startswith("lstm"):
        raise UserError(f"this checkpoint is of the architecture {arch}, not of lstm")
    if getattr(args, "criterion", "") == "adaptive_loss":
        raise UserError("checkpoints with fairseq's adaptive softmax cannot be imported: their clusters are other ones")
    attends = getattr(args, "decoder_attention", "1") in ("1", "True", True)
    both_ways = bool(args.encoder_bidirectional)
    cfg = Seq2SeqConfig(
        encoder_embed_dim=args.encoder_embed_dim,
        encoder_hidden_size=args.encoder_hidden_size * (2 if both_ways else 1),
        encoder_layers=args.encoder_layers,
        encoder_bidirectional="all" if both_ways else "none",
        attention="general" if attends else "none",
        bridge="copy",
        decoder_embed_dim=args.decoder_embed_dim,
        decoder_hidden_size=args.decoder_hidden_size,
        decoder_layers=args.decoder_layers,
        decoder_output_dim=0 if _tied(args) else args.decoder_out_embed_dim,
        dropout=args.dropout,
        share_all_embeddings=bool(args.share_all_embeddings),
        share_decoder_input_output_embed=bool(args.share_decoder_input_output_embed),
        max_source_positions=getattr(args, "max_source_positions", 1024),
        max_target_positions=getattr(args, "max_target_positions", 1024),
    )
    return asdict(cfg) | {"_name": "s2s"}


def parameters_of(stock: dict[str, Tensor], args: Namespace) -> dict[str, Tensor]:
    """Our model's parameters from those of a stock one.

    Torch's two biases of a gate are one of ours. A row of the attention's input projection asks for what a column of
    our keys' matrix gives: one is the other turned around.
    """
    ours: dict[str, Tensor] = {}
    ours["encoder.embedding.table.weight"] = stock["encoder.embed_tokens.weight"]
    for layer in range(args.encoder_layers):
        for number, suffix in enumerate(("", "_reverse") if args.encoder_bidirectional else ("",)):
            for gate in GATES:
                name = f"encoder.stack.layers.{layer}.directions.{number}.{gate}_l0"
                ours[name] = stock[f"encoder.lstm.{gate}_l{layer}{suffix}"]

    ours["decoder.embedding.table.weight"] = stock["decoder.embed_tokens.weight"]
    rnn, embed = "decoder.rnn", args.decoder_embed_dim
    for number, kind in enumerate(("hidden", "cell")):
        for part in ("weight", "bias"):
            if (value := stock.get(f"decoder.encoder_{kind}_proj.{part}")) is not None:
                ours[f"{rnn}.bridge.project.{number}.{part}"] = value
    for layer in range(args.decoder_layers):
        below, before, *biases = (stock[f"decoder.layers.{layer}.{gate}"] for gate in GATES)
        cell = f"{rnn}.cells.{layer}"
        if layer == 0:  # reads [embedding; feed]
            ours[f"{cell}.input_proj.weight"], below = below[:, :embed], below[:, embed:]
        ours[f"{cell}.recurrent_proj.weight"] = torch.cat((below, before), 1)
        ours[f"{cell}.recurrent_proj.bias"] = biases[0] + biases[1]
    if "decoder.attention.input_proj.weight" in stock:
        ours[f"{rnn}.attention.key.weight"] = stock["decoder.attention.input_proj.weight"].t()
        ours[f"{rnn}.combine.weight"] = stock["decoder.attention.output_proj.weight"]

    table = stock.get("decoder.fc_out.weight", stock["decoder.embed_tokens.weight"])
    ours["decoder.generator.output.weight"] = table
    ours["decoder.generator.output.bias"] = stock.get("decoder.fc_out.bias", table.new_zeros(len(table)))
    if "decoder.additional_fc.weight" in stock:
        for part in ("weight", "bias"):
            ours[f"decoder.generator.project.0.{part}"] = stock[f"decoder.additional_fc.{part}"]
    return {name: value.clone() for name, value in ours.items()}


def _tied(args: Namespace) -> bool:
    return bool(args.share_all_embeddings or args.share_decoder_input_output_embed)
