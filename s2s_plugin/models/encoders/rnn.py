"""Recurrent stack: the part of an encoder that reads a sequence in both directions, whatever it is of."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from s2s_plugin.models.layers.cells import LAYERS
from s2s_plugin.models.layers.dropout import Dropout
from s2s_plugin.models.layers.init import init_uniform
from s2s_plugin.models.memory import Memory

SURELY = 1e4  # opens a gate


class RecurrentStack(nn.Module):
    """m_1..m_S = BiRNN(x_1..x_S), layer over layer. Padding is never read by what is not padding.

    Args:
        input_size: width E of an input.
        hidden_size: width D of a memory value; two directions of D / 2 where bidirectional.
        layers: number of stacked layers.
        bidirectional: so many layers, from below, read the source in both directions.
        dropout: between layers and on the output.
        pyramid: that many of the upper layers read two steps of the layer below at once, halving the number of
            steps each (Chan et al. 2016, "Listen, attend and spell", section 3.1).
        cell: a name in ``LAYERS``.
        residual: layers whose input is as wide as their output add it to that (Wu et al. 2016, section 3.1).
        layer_norm: normalise what each layer gives (Ba et al. 2016).
        keep_cells: hand the last cell states of LSTM layers to the decoder too.

    Attributes:
        value_size: width of the memory's values.
        final_shape: of the memory's ``final``, without the batch.
        pace: input steps for each memory step.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        layers: int,
        bidirectional: int,
        dropout: Dropout,
        pyramid: int = 0,
        cell: str = "lstm",
        residual: bool = False,
        layer_norm: bool = False,
        keep_cells: bool = False,
    ):
        super().__init__()
        keep_cells = keep_cells and cell == "lstm"
        self.value_size, self.pace = hidden_size, 2**pyramid
        self.final_shape = (layers, 2 if keep_cells else 1, hidden_size)
        self.first_pair = layers - pyramid  # the first layer that reads pairs
        widths = [input_size] + [hidden_size * (2 if layer >= self.first_pair else 1) for layer in range(1, layers)]
        self.layers = nn.ModuleList(
            RecurrentLayer(width, hidden_size, number < bidirectional, cell, keep_cells)
            for number, width in enumerate(widths)
        )
        self.residual = [residual and width == hidden_size for width in widths]
        self.norms = nn.ModuleList(nn.LayerNorm(hidden_size) if layer_norm else nn.Identity() for _ in widths)
        self.dropout = dropout

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def forward(self, inputs: Tensor, lengths: Tensor) -> Memory:
        """``inputs``: B x S x E, padded on the right; ``lengths``: B, each at least 1.

        Returns:
            memory of S / 2^pyramid steps (rounded up); ``final`` holds the last states of each layer, those of its
            directions side by side.
        """
        finals = []
        for number, layer in enumerate(self.layers):
            if number >= self.first_pair:
                inputs, lengths = pairs(inputs), (lengths + 1) // 2
            outputs, final = layer(inputs, lengths)  # B x S x D, B x C x D
            outputs = self.norms[number](outputs + inputs if self.residual[number] else outputs)
            mask = padding_mask(lengths, outputs.size(1))
            inputs = self.dropout(outputs).masked_fill(mask.unsqueeze(2), 0.0)
            finals.append(final)
        return Memory(inputs, mask, torch.stack(finals, 1))


class RecurrentLayer(nn.Module):
    """A recurrence from left to right and, where bidirectional, one from right to left, side by side.

    Each direction is one fused call over the padded batch: the other direction's items are turned around within
    their lengths, so that padding comes last for both. On a CPU that trains two to four times as fast as packed
    sequences, for which torch has no fused kernel there.

    Args:
        input_size: width E of an input.
        output_size: width D of an output; two directions share it.
        bidirectional: read in both directions.
        cell: a name in ``LAYERS``.
        keep_cells: return last cell states beside the hidden ones; LSTM only.
    """

    def __init__(self, input_size: int, output_size: int, bidirectional: bool, cell: str, keep_cells: bool):
        super().__init__()
        self.keep_cells = keep_cells
        directions = 2 if bidirectional else 1
        self.directions = nn.ModuleList(
            LAYERS[cell](input_size, output_size // directions, batch_first=True) for _ in range(directions)
        )
        init_uniform(self, output_size // directions)

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """B x S x E inputs to B x S x D outputs, and the last states of each direction, B x C x D."""
        outputs, finals = [], []
        turn = turned(lengths, inputs.size(1)).unsqueeze(2)  # B x S x 1
        for number, direction in enumerate(self.directions):
            read, final = self._read(direction, inputs.gather(1, turn.expand_as(inputs)) if number else inputs, lengths)
            outputs.append(read.gather(1, turn.expand_as(read)) if number else read)
            finals.append(final)
        return torch.cat(outputs, 2), torch.cat(finals, 2)

    def _read(self, direction: nn.Module, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """One direction: outputs and last states."""
        rows = torch.arange(len(inputs), device=inputs.device)
        if not self.keep_cells:
            outputs, _ = direction(inputs)
            return outputs, outputs[rows, lengths - 1].unsqueeze(1)
        assert isinstance(direction, nn.LSTM)
        if len(inputs) == 1 and lengths[0] == inputs.size(1):  # no padding
            outputs, (_, cells) = direction(inputs)
            return outputs, torch.stack((outputs[:, -1], cells[0]), 1)
        outputs, cells = _hold(direction, inputs, padding_mask(lengths, inputs.size(1)))
        return outputs, torch.stack((outputs[rows, lengths - 1], cells), 1)


def _hold(lstm: nn.LSTM, inputs: Tensor, padding_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs B x S x H, and cell states B x H that padding does not change.

    One input more says where padding is; there it closes the input gate and opens the forget gate.
    """
    width = lstm.hidden_size
    closed = torch.tensor([-SURELY, SURELY, 0, 0], device=inputs.device, dtype=inputs.dtype).repeat_interleave(width)
    into, *others = lstm.all_weights[0]
    weights = [torch.cat((into, closed.unsqueeze(1)), 1), *others]
    inputs = torch.cat((inputs, padding_mask.unsqueeze(2).to(inputs.dtype)), 2)
    start = inputs.new_zeros(1, len(inputs), width)
    outputs, _, cells = torch.lstm(inputs, (start, start), weights, True, 1, 0.0, lstm.training, False, True)
    return outputs, cells[0]


def turned(lengths: Tensor, steps: int) -> Tensor:
    """B x S positions that turn each item around within its length and leave padding where it is."""
    positions = torch.arange(steps, device=lengths.device)
    return torch.where(padding_mask(lengths, steps), positions, lengths.unsqueeze(1) - 1 - positions)


def pairs(steps: Tensor) -> Tensor:
    """B x S x D to B x ceil(S / 2) x 2D: each step beside the next."""
    if steps.size(1) % 2:
        steps = torch.cat((steps, steps.new_zeros(steps.size(0), 1, steps.size(2))), 1)
    return steps.reshape(steps.size(0), steps.size(1) // 2, 2 * steps.size(2))


def padding_mask(lengths: Tensor, steps: int) -> Tensor:
    """B x S, True where a position is beyond its item's length."""
    return torch.arange(steps, device=lengths.device) >= lengths.unsqueeze(1)
