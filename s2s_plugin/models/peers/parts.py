"""What the models of all peers are converted with: vocabularies, recurrent layers, tables by token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from fairseq.data import Dictionary
from torch import Tensor

from s2s_plugin.errors import UserError

Weights = dict[str, Tensor]
GATES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
CELLS = {4: "lstm", 3: "gru"}  # by the number of gates
HIDDEN_LOGIT = -1e9  # of a token that can never be written


class Special(NamedTuple):
    """The names of a peer's special tokens."""

    bos: str = "<s>"
    pad: str = "<pad>"
    eos: str = "</s>"
    unk: str = "<unk>"


class Imported(NamedTuple):
    """A model of a peer as ours: options of ``Seq2SeqConfig`` that are not defaults, weights, dictionaries."""

    options: dict[str, object]
    weights: Weights
    source: Dictionary
    target: Dictionary


def convert_vocabulary(tokens: Sequence[str], special: Special) -> tuple[Dictionary, list[int]]:
    """Return our dictionary for a peer's tokens, and the peer's id of each of our tokens, -1 where it has none."""
    dictionary, numbers = Dictionary(), {token: number for number, token in enumerate(tokens)}
    ids = [numbers.get(name, -1) for name in special]  # in the order of Dictionary's own
    for token, number in numbers.items():
        if token in special:
            continue
        name = token if token.split() == [token] else f"<{number}>"  # a line of a dictionary file is split at spaces
        while name in dictionary:
            name = f"<{name}>"
        dictionary.add_symbol(name)
        ids.append(number)
    return dictionary, ids


def by_our_ids(table: Tensor, ids: Sequence[int]) -> Tensor:
    """Return the rows of a peer's table V x ... in the order of our ids; zeros where the peer has no such token."""
    index = torch.tensor(ids)
    rows = table[index.clamp(min=0)].clone()
    rows[index < 0] = 0
    return rows


def embedding(table: Tensor, ids: Sequence[int], dictionary: Dictionary, starts_with_bos: bool = False) -> Tensor:
    """Return an input embedding; ours begins targets with </s>, whose row is that of the peer's <s>."""
    rows = by_our_ids(table, ids)
    rows[dictionary.pad()] = 0
    if starts_with_bos:
        rows[dictionary.eos()] = rows[dictionary.bos()]
    return rows


def recurrent_encoder(stock: Weights, prefix: str) -> tuple[dict[str, object], Weights]:
    """Return options and weights of an encoder that is a torch LSTM or GRU of one direction or two."""
    layers = count(lambda number: f"{prefix}.weight_ih_l{number}" in stock)
    both = f"{prefix}.weight_ih_l0_reverse" in stock
    weights = {
        f"encoder.stack.layers.{layer}.directions.{number}.{gate}_l0": stock[f"{prefix}.{gate}_l{layer}{suffix}"]
        for layer in range(layers)
        for number, suffix in enumerate(("", "_reverse") if both else ("",))
        for gate in GATES
    }
    hidden = stock[f"{prefix}.weight_hh_l0"].size(1)
    options = {
        "encoder_embed_dim": stock[f"{prefix}.weight_ih_l0"].size(1),
        "encoder_hidden_size": hidden * (2 if both else 1),
        "encoder_layers": layers,
        "encoder_cell": cell_of(stock[f"{prefix}.weight_hh_l0"]),
        "encoder_bidirectional": "all" if both else "none",
    }
    return options, weights


def recurrent_decoder(
    stock: Weights, name: Callable[[int, str], str], embed_size: int, feeds_input: bool
) -> tuple[dict[str, object], Weights]:
    """Return options and weights of the layers of a decoder.

    Args:
        stock: the peer's weights.
        name: of a gate's parameter, such as weight_ih, in a layer.
        embed_size: width of a target embedding, the first columns of the first layer's inputs.
        feeds_input: whether the features of the previous step are the other columns.
    """
    layers = count(lambda number: name(number, GATES[0]) in stock)
    cell = cell_of(stock[name(0, "weight_hh")])
    hidden, weights = stock[name(0, "weight_hh")].size(1), Weights()
    for layer in range(layers):
        inputs, recurrent, input_bias, recurrent_bias = (stock[name(layer, gate)] for gate in GATES)
        ours = f"decoder.rnn.cells.{layer}"
        if layer == 0:
            weights[f"{ours}.input_proj.weight"], inputs = inputs[:, :embed_size], inputs[:, embed_size:]
            if not feeds_input:
                inputs = recurrent.new_zeros(len(recurrent), hidden)
        if cell == "lstm":
            weights[f"{ours}.recurrent_proj.weight"] = torch.cat((inputs, recurrent), 1)
            weights[f"{ours}.recurrent_proj.bias"] = input_bias + recurrent_bias
        else:  # the reset gate keeps the biases apart
            weights[f"{ours}.feedback_proj.weight"] = inputs
            weights[f"{ours}.bias"] = input_bias
            weights[f"{ours}.recurrent_proj.weight"] = recurrent
            weights[f"{ours}.recurrent_proj.bias"] = recurrent_bias
    options = {
        "decoder_embed_dim": embed_size,
        "decoder_hidden_size": hidden,
        "decoder_layers": layers,
        "decoder_cell": cell,
        "decoder_type": "luong",
    }
    return options, weights


def cell_of(recurrent: Tensor) -> str:
    """Return the cell with this recurrent matrix, gates * H x H."""
    gates = recurrent.size(0) // recurrent.size(1)
    if gates not in CELLS:
        raise UserError(f"the cells must be LSTM or GRU, got one of {gates} gates")
    return CELLS[gates]


def count(holds: Callable[[int], bool]) -> int:
    """Return how many of 0, 1, ... hold before the first that does not."""
    number = 0
    while holds(number):
        number += 1
    return number


def require(holds: bool, rule: str) -> None:
    """Raise UserError if a model has a part that ours lacks."""
    if not holds:
        raise UserError(f"cannot be imported: {rule}")
