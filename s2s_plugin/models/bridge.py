"""Bridge: the decoder's initial state from the encoder's final states."""

import torch
from torch import Tensor, nn

from s2s_plugin.models.layers.init import init_uniform
from s2s_plugin.models.memory import Memory


class ZeroBridge(nn.Module):
    """Start the decoder with zeros; only attention connects it with the source.

    Args:
        final_shape: L' x C' x F of ``Memory.final``: encoder layers, states of each, width.
        layers: number L of decoder layers.
        states: number C of state vectors of a decoder layer.
        hidden_size: their width H.
    """

    def __init__(self, final_shape: tuple[int, int, int], layers: int, states: int, hidden_size: int):
        super().__init__()
        self.shape = (layers, states, hidden_size)

    def forward(self, memory: Memory) -> Tensor:
        """Return the initial state, B x L x C x H."""
        return memory.values.new_zeros(memory.values.size(0), *self.shape)


class DenseBridge(ZeroBridge):
    """h_0 = tanh(W m + b) for each decoder layer, from the top encoder layer's last hidden state m."""

    def __init__(self, final_shape: tuple[int, int, int], layers: int, states: int, hidden_size: int):
        super().__init__(final_shape, layers, states, hidden_size)
        self.project = nn.Linear(final_shape[2], layers * states * hidden_size)
        init_uniform(self, hidden_size)

    def forward(self, memory: Memory) -> Tensor:
        return self.project(memory.final[:, -1, 0]).tanh().unflatten(1, self.shape)


class CopyBridge(ZeroBridge):
    """Start each decoder layer with the final states of the encoder layer of the same number, or of the top one.

    If the widths differ, one matrix projects all hidden states and one all cell states, as in fairseq's ``lstm``.
    States that the encoder lacks are zero.
    """

    def __init__(self, final_shape: tuple[int, int, int], layers: int, states: int, hidden_size: int):
        super().__init__(final_shape, layers, states, hidden_size)
        encoder_layers, encoder_states, width = final_shape
        self.source_layers = [min(layer, encoder_layers - 1) for layer in range(layers)]
        self.project = nn.ModuleList(
            nn.Identity() if width == hidden_size else nn.Linear(width, hidden_size)
            for _ in range(min(states, encoder_states))
        )
        init_uniform(self, hidden_size)

    def forward(self, memory: Memory) -> Tensor:
        final = memory.final[:, self.source_layers]  # B x L x C' x F
        copied = [project(final[:, :, i]) for i, project in enumerate(self.project)]
        missing = [torch.zeros_like(copied[0])] * (self.shape[1] - len(copied))
        return torch.stack([*copied, *missing], 2)


BRIDGES: dict[str, type[ZeroBridge]] = {"zero": ZeroBridge, "copy": CopyBridge, "dense": DenseBridge}
