"""Recurrent stack: the part of an encoder that reads a sequence in both directions, whatever it is of."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from s2s_plugin.models.dropout import Dropout
from s2s_plugin.models.init import init_uniform
from s2s_plugin.models.memory import Memory


class RecurrentStack(nn.Module):
    """m_1..m_S = BiLSTM(x_1..x_S), layer over layer. Padding is never read by what is not padding.

    Args:
        input_size: width E of an input.
        hidden_size: width D of a memory value; two directions of D / 2 where bidirectional.
        layers: number of stacked layers.
        bidirectional: read the source in both directions.
        dropout: between layers and on the output.
        pyramid: that many of the upper layers read two steps of the layer below at once, halving the number of
            steps each (Chan et al. 2016, "Listen, attend and spell", section 3.1).

    Attributes:
        value_size, summary_size: widths of the memory's values and of its ``final``.
        pace: input steps for each memory step.
    """

    def __init__(
        self, input_size: int, hidden_size: int, layers: int, bidirectional: bool, dropout: float, pyramid: int = 0
    ):
        super().__init__()
        self.value_size, self.summary_size, self.pace = hidden_size, hidden_size, 2**pyramid
        self.first_pair = layers - pyramid  # the first layer that reads pairs
        widths = [input_size] + [hidden_size * (2 if layer >= self.first_pair else 1) for layer in range(1, layers)]
        self.layers = nn.ModuleList(RecurrentLayer(width, hidden_size, bidirectional) for width in widths)
        self.dropout = Dropout(dropout)

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def forward(self, inputs: Tensor, lengths: Tensor) -> Memory:
        """``inputs``: B x S x E, padded on the right; ``lengths``: B, each at least 1.

        Returns:
            memory of S / 2^pyramid steps (rounded up); ``final`` holds the last state of each direction, B x D.
        """
        for number, layer in enumerate(self.layers):
            if number >= self.first_pair:
                inputs, lengths = pairs(inputs), (lengths + 1) // 2
            outputs, final = layer(inputs, lengths)  # B x S x D, B x D
            mask = padding_mask(lengths, outputs.size(1))
            inputs = self.dropout(outputs).masked_fill(mask.unsqueeze(2), 0.0)
        return Memory(inputs, mask, final)


class RecurrentLayer(nn.Module):
    """An LSTM from left to right and, where bidirectional, one from right to left, side by side.

    Each direction is one fused call over the padded batch: the other direction's items are turned around within
    their lengths, so that padding comes last for both. On a CPU that trains two to four times as fast as packed
    sequences, for which torch has no fused kernel there.
    """

    def __init__(self, input_size: int, output_size: int, bidirectional: bool):
        super().__init__()
        directions = 2 if bidirectional else 1
        self.directions = nn.ModuleList(
            nn.LSTM(input_size, output_size // directions, batch_first=True) for _ in range(directions)
        )
        init_uniform(self, output_size // directions)

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """B x S x E inputs to B x S x D outputs, and the last output of each direction, B x D."""
        rows = torch.arange(len(inputs), device=inputs.device)
        outputs, _ = self.directions[0](inputs)
        last = outputs[rows, lengths - 1]
        if len(self.directions) == 1:
            return outputs, last
        turn = turned(lengths, inputs.size(1)).unsqueeze(2)  # B x S x 1
        backward, _ = self.directions[1](inputs.gather(1, turn.expand_as(inputs)))
        first = backward[rows, lengths - 1]
        backward = backward.gather(1, turn.expand_as(backward))
        return torch.cat((outputs, backward), 2), torch.cat((last, first), 1)


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
