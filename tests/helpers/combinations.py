"""Sensible combinations of the model's parts: options of ``Seq2SeqConfig`` added to small sizes, by modality."""

from __future__ import annotations

from s2s_plugin.models.attention import ATTENTIONS
from s2s_plugin.models.decoders import DECODERS
from s2s_plugin.models.layers.cells import CELLS

SIZES = {
    "encoder_embed_dim": 12,
    "encoder_hidden_size": 16,
    "decoder_embed_dim": 12,
    "decoder_hidden_size": 16,
    "attention_size": 8,
    "encoder_channels": 4,
    "dropout": 0.1,
}


def _text() -> list[dict]:
    table: list[dict] = [{"decoder_type": decoder, "attention": kind} for decoder in DECODERS for kind in ATTENTIONS]
    table.remove({"decoder_type": "syntactic", "attention": "none"})  # is refused
    for number, (encoder, cell) in enumerate((e, d) for e in CELLS for d in CELLS):
        table.append({"encoder_cell": encoder, "decoder_cell": cell, "decoder_type": list(DECODERS)[number % 3]})
    for decoder in DECODERS:
        for coverage in ("sum", "gated"):
            table.append({"decoder_type": decoder, "coverage": coverage, "attention": "additive"})
            table.append({"decoder_type": decoder, "coverage": coverage, "attention": "general", "pointer": True})
        table.append({"decoder_type": decoder, "pointer": True, "share_all_embeddings": True})
        table.append({"decoder_type": decoder, "decoder_layers": 3, "residual": True, "layer_norm": True})
        table.append({"decoder_type": decoder, "decoder_layers": 2, "locked_dropout": True, "dropout": 0.3})
    for bridge in ("zero", "copy"):
        for cell in CELLS:
            table.append({"bridge": bridge, "encoder_cell": cell, "decoder_cell": cell, "decoder_layers": 2})
        table.append({"bridge": bridge, "encoder_layers": 3, "decoder_type": "gnmt"})
        table.append({"bridge": bridge, "encoder_cell": "gru", "decoder_hidden_size": 20, "encoder_layers": 2})
    table += [
        {"encoder_layers": 3, "encoder_bidirectional": "first", "residual": True, "encoder_embed_dim": 16},
        {"encoder_layers": 2, "encoder_bidirectional": "none", "layer_norm": True},
        {"encoder_layers": 2, "encoder_bidirectional": "first", "encoder_reversed": True, "pointer": True},
        {"encoder_layers": 3, "encoder_pyramid": 2, "attention": "location"},
        {"encoder_layers": 2, "encoder_cell": "gru", "locked_dropout": True, "decoder_type": "bahdanau"},
        {"adaptive_cutoffs": "6,10"},
        {"adaptive_cutoffs": "6", "decoder_type": "gnmt", "attention": "multi_head", "coverage": "sum"},
        {"decoder_output_dim": 5},
        {"share_decoder_input_output_embed": True, "decoder_cell": "gru"},
        {"ctc": True, "attention": "location"},
    ]
    return table


def _signal() -> list[dict]:
    return [
        {"decoder_type": "luong", "attention": "location", "ctc": True},
        {"decoder_type": "bahdanau", "attention": "additive", "coverage": "gated", "bridge": "copy"},
        {"decoder_type": "gnmt", "attention": "multi_head", "decoder_layers": 2, "decoder_cell": "gru"},
        {"decoder_type": "luong", "attention": "general", "encoder_cell": "gru", "bridge": "zero"},
        {"decoder_type": "gnmt", "attention": "dot", "coverage": "sum", "decoder_cell": "rnn"},
    ]


TEXT, SIGNAL = _text(), _signal()


def representative(table: list[dict]) -> list[dict]:
    """Return few rows that have every value of every option: the one with the most new values first."""
    rows: list[dict] = []
    missing = {value for options in table for value in options.items()}
    while missing:
        rows.append(max(table, key=lambda options: len(missing & set(options.items()))))
        missing -= set(rows[-1].items())
    return rows


def name_of(options: dict) -> str:
    return ",".join(f"{key.removeprefix('decoder_')}={value}" for key, value in options.items())
