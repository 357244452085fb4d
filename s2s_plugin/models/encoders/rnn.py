"""Recurrent stack: the part of an encoder that reads a sequence, of any modality, in both directions."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s2s_plugin.models.layers.cells import LAYERS
from s2s_plugin.models.layers.dropout import Dropout
from s2s_plugin.models.layers.init import init_uniform
from s2s_plugin.models.memory import Memory

GATE_SATURATION = 1e4  # a pre-activation that opens a gate fully; negative: closes it


class RecurrentStack(nn.Module):
    """m_1..m_S = BiRNN(x_1..x_S), layer over layer. Outputs do not depend on padding.

    ``downsampling`` is the number of input steps of a memory step.

    Args:
        input_size: width E of an input.
        hidden_size: width D of a memory value; each of two directions has D / 2.
        bidirectional: number of lower layers that are bidirectional.
        dropout: applied between layers and to the output.
        pyramid: number of upper layers that read two steps of the layer below at once, each halving the number of
            steps (Chan et al. 2016, "Listen, attend and spell", section 3.1).
        cell: a name in ``LAYERS``.
        residual: layers whose input and output have one width add their input to their output (Wu et al. 2016,
            section 3.1).
        layer_norm: normalize each layer's output (Ba et al. 2016).
        keep_cells: also pass the last cell states of LSTM layers to the decoder.
    """

    def __init__(
        self, input_size: int, hidden_size: int, layers: int, bidirectional: int, dropout: Dropout, pyramid: int = 0,
        cell: str = "lstm", residual: bool = False, layer_norm: bool = False, keep_cells: bool = False,
    ):  # fmt: skip
        super().__init__()
        keep_cells = keep_cells and cell == "lstm"
        self.value_size, self.downsampling = hidden_size, 2**pyramid
        self.final_shape = (layers, 2 if keep_cells else 1, hidden_size)
        self.first_pyramid_layer = layers - pyramid
        widths = [hidden_size * (2 if layer >= self.first_pyramid_layer else 1) for layer in range(layers)]
        widths[0] = input_size
        self.layers = nn.ModuleList(
            RecurrentLayer(width, hidden_size, layer < bidirectional, cell, keep_cells)
            for layer, width in enumerate(widths)
        )
        self.residual = [residual and width == hidden_size for width in widths]
        self.norms = nn.ModuleList(nn.LayerNorm(hidden_size) if layer_norm else nn.Identity() for _ in widths)
        self.dropout = dropout

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def forward(self, inputs: Tensor, lengths: Tensor) -> Memory:
        """Encode ``inputs`` B x S x E, padded on the right, of ``lengths`` B >= 1, in S / 2^pyramid steps (rounded up).

        ``final`` holds the last states of each layer, those of its directions concatenated.
        """
        finals = []
        for number, layer in enumerate(self.layers):
            if number >= self.first_pyramid_layer:
                inputs, lengths = concat_frame_pairs(inputs), (lengths + 1) // 2
            outputs, final = layer(inputs, lengths)  # B x S x D, B x C x D
            outputs = self.norms[number](outputs + inputs if self.residual[number] else outputs)
            mask = padding_mask(lengths, outputs.size(1))
            inputs = self.dropout(outputs).masked_fill(mask.unsqueeze(2), 0.0)
            finals.append(final)
        return Memory(inputs, mask, torch.stack(finals, 1))


class RecurrentLayer(nn.Module):
    """A recurrence from left to right and, if bidirectional, one from right to left; outputs are concatenated.

    Each direction is one fused call over the padded batch: for the other direction, items are reversed within their
    lengths, so that padding comes last for both. On a CPU this trains two to four times as fast as packed sequences,
    for which torch has no fused kernel there.
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
        """Map inputs B x S x E to outputs B x S x D and the directions' last states B x C x D, cells if kept."""
        outputs, final = self._run(self.directions[0], inputs, lengths)
        if len(self.directions) == 1:
            return outputs, final
        positions = reversed_positions(lengths, inputs.size(1)).unsqueeze(2)  # B x S x 1
        reversed_inputs = inputs.gather(1, positions.expand_as(inputs))
        backward, backward_final = self._run(self.directions[1], reversed_inputs, lengths)
        backward = backward.gather(1, positions.expand_as(backward))
        return torch.cat((outputs, backward), 2), torch.cat((final, backward_final), 2)

    def _run(self, direction: nn.Module, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        rows = torch.arange(inputs.size(0), device=inputs.device)
        if not self.keep_cells:
            outputs, _ = direction(inputs)
            return outputs, outputs[rows, lengths - 1].unsqueeze(1)
        assert isinstance(direction, nn.LSTM)
        if inputs.size(0) == 1 and lengths[0] == inputs.size(1):  # no padding
            outputs, (_, cells) = direction(inputs)
            return outputs, torch.stack((outputs[:, -1], cells[0]), 1)
        outputs, cells = _lstm_with_frozen_padding(direction, inputs, padding_mask(lengths, inputs.size(1)))
        return outputs, torch.stack((outputs[rows, lengths - 1], cells), 1)


def _lstm_with_frozen_padding(lstm: nn.LSTM, inputs: Tensor, padding_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return outputs B x S x H and cell states B x H that padding does not change.

    An additional input marks padding and there closes the input gate and opens the forget gate.
    """
    width = lstm.hidden_size
    saturation = torch.tensor([-GATE_SATURATION, GATE_SATURATION, 0, 0], device=inputs.device, dtype=inputs.dtype)
    input_weight, *others = lstm.all_weights[0]
    weights = [torch.cat((input_weight, saturation.repeat_interleave(width).unsqueeze(1)), 1), *others]
    inputs = torch.cat((inputs, padding_mask.unsqueeze(2).to(inputs.dtype)), 2)
    start = inputs.new_zeros(1, inputs.size(0), width)
    outputs, _, cells = torch.lstm(inputs, (start, start), weights, True, 1, 0.0, lstm.training, False, True)
    return outputs, cells[0]


def reversed_positions(lengths: Tensor, steps: int) -> Tensor:
    """Return B x S positions that reverse each item within its length and keep padding in place."""
    positions = torch.arange(steps, device=lengths.device)
    return torch.where(padding_mask(lengths, steps), positions, lengths.unsqueeze(1) - 1 - positions)


def concat_frame_pairs(frames: Tensor) -> Tensor:
    """Concatenate each two adjacent frames: B x S x D to B x ceil(S / 2) x 2D."""
    frames = F.pad(frames, (0, 0, 0, frames.size(1) % 2))
    return frames.reshape(frames.size(0), -1, 2 * frames.size(2))


def padding_mask(lengths: Tensor, steps: int) -> Tensor:
    """Return B x S, True where a position is beyond its item's length."""
    return torch.arange(steps, device=lengths.device) >= lengths.unsqueeze(1)
