"""Convert a model of fairseq's own ``lstm`` to ours: the same weights under our names."""

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import asdict

import torch
from torch import Tensor

from s2s_plugin.errors import UserError
from s2s_plugin.models.config import Seq2SeqConfig

UNCHANGED = ("encoder_embed_dim", "encoder_layers", "decoder_embed_dim", "decoder_hidden_size", "decoder_layers")
GATES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def convert_config(args: Namespace) -> dict:
    """Return our model's config for the arguments of a stock model.

    Raises:
        UserError: it uses a feature that ours lacks.
    """
    arch = args.get("_name") if isinstance(args, Mapping) else args.arch
    if not str(arch).startswith("lstm"):
        ours = str(arch).startswith("s2s")
        remedy = "it is one of this plugin already, use it as it is" if ours else "use fairseq-generate with its task"
        raise UserError(f"expected a checkpoint of the architecture lstm, got {arch}; {remedy}")
    if getattr(args, "criterion", "") == "adaptive_loss":
        raise UserError("checkpoints with fairseq's adaptive softmax cannot be imported: its clusters differ from ours")
    attention = getattr(args, "decoder_attention", "1") in ("1", "True", True)
    bidirectional = bool(args.encoder_bidirectional)
    tied = args.share_all_embeddings or args.share_decoder_input_output_embed
    cfg = Seq2SeqConfig(
        **{name: getattr(args, name) for name in UNCHANGED},
        dropout=args.dropout,
        encoder_hidden_size=args.encoder_hidden_size * (2 if bidirectional else 1),
        encoder_bidirectional="all" if bidirectional else "none",
        attention="general" if attention else "none",
        bridge="copy",
        decoder_output_dim=0 if tied else args.decoder_out_embed_dim,
        share_all_embeddings=bool(args.share_all_embeddings),
        share_decoder_input_output_embed=bool(args.share_decoder_input_output_embed),
        max_source_positions=getattr(args, "max_source_positions", 1024),
        max_target_positions=getattr(args, "max_target_positions", 1024),
    )
    return asdict(cfg) | {"_name": "s2s"}


def convert_parameters(stock: dict[str, Tensor], args: Namespace) -> dict[str, Tensor]:
    """Return our model's parameters from those of a stock model.

    Torch's two biases of a gate are summed to one. The attention's input projection, applied to the query there, is
    the transpose of our key projection.
    """
    ours = _encoder(stock, args) | _decoder(stock, args)
    table = stock.get("decoder.fc_out.weight", stock["decoder.embed_tokens.weight"])
    ours["decoder.generator.output.weight"] = table
    ours["decoder.generator.output.bias"] = stock.get("decoder.fc_out.bias", table.new_zeros(len(table)))
    ours |= _linear(stock, "decoder.additional_fc", "decoder.generator.project.0")
    return {name: value.clone() for name, value in ours.items()}


def _encoder(stock: dict[str, Tensor], args: Namespace) -> dict[str, Tensor]:
    ours = {"encoder.embedding.table.weight": stock["encoder.embed_tokens.weight"]}
    for layer in range(args.encoder_layers):
        for number, suffix in enumerate(("", "_reverse") if args.encoder_bidirectional else ("",)):
            for gate in GATES:
                name = f"encoder.stack.layers.{layer}.directions.{number}.{gate}_l0"
                ours[name] = stock[f"encoder.lstm.{gate}_l{layer}{suffix}"]
    return ours


def _decoder(stock: dict[str, Tensor], args: Namespace) -> dict[str, Tensor]:
    ours = {"decoder.embedding.table.weight": stock["decoder.embed_tokens.weight"]}
    for number, kind in enumerate(("hidden", "cell")):
        ours |= _linear(stock, f"decoder.encoder_{kind}_proj", f"decoder.rnn.bridge.project.{number}")
    for layer in range(args.decoder_layers):
        input_weight, hidden_weight, *biases = (stock[f"decoder.layers.{layer}.{gate}"] for gate in GATES)
        cell = f"decoder.rnn.cells.{layer}"
        if layer == 0:  # reads [embedding; feed]
            embed = args.decoder_embed_dim
            ours[f"{cell}.input_proj.weight"], input_weight = input_weight[:, :embed], input_weight[:, embed:]
        ours[f"{cell}.recurrent_proj.weight"] = torch.cat((input_weight, hidden_weight), 1)
        ours[f"{cell}.recurrent_proj.bias"] = biases[0] + biases[1]
    if "decoder.attention.input_proj.weight" in stock:
        ours["decoder.rnn.attention.key.weight"] = stock["decoder.attention.input_proj.weight"].t()
        ours["decoder.rnn.combine.weight"] = stock["decoder.attention.output_proj.weight"]
    return ours


def _linear(stock: dict[str, Tensor], old: str, new: str) -> dict[str, Tensor]:
    parts = ("weight", "bias") if f"{old}.weight" in stock else ()
    return {f"{new}.{part}": stock[f"{old}.{part}"] for part in parts}
