"""What all decoder styles share: the state, the step, and the loop over a known target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from s2s_plugin.models.attention import Attention
from s2s_plugin.models.bridge import BRIDGES
from s2s_plugin.models.layers.cells import CELLS, Cell, tanh
from s2s_plugin.models.layers.dropout import Dropout
from s2s_plugin.models.layers.init import init_uniform
from s2s_plugin.models.memory import Memory


class DecoderState(NamedTuple):
    """Everything that a step needs from the step before; N items, batch-first, so any row can be re-indexed.

    Attributes:
        layers: N x L x C x H: of each of the L layers the hidden state and, in an LSTM, the cell state.
        feed: N x H features of the last step; None in styles that do not feed them back.
        past: N x S x P, what attention remembers of where it has looked; None where it does not.
        masks: N x L x H dropout held over all steps while training; None otherwise.
    """

    layers: Tensor
    feed: Tensor | None = None
    past: Tensor | None = None
    masks: Tensor | None = None

    def reorder(self, index: Tensor) -> DecoderState:
        """Select rows. ``index``: N' positions into N (may repeat)."""
        return DecoderState._make(None if field is None else field.index_select(0, index) for field in self)


class Decoder(nn.Module):
    """A stack of recurrent layers and attention, which write one symbol a step.

    Styles differ in when they ask attention and in what they do with the answer: they define :meth:`inputs` and
    :meth:`_step`.

    Args:
        embed_size: width E of a target embedding.
        hidden_size: width H of the states and of the features.
        layers: number L of recurrent layers.
        attention: how the memory is read.
        final_shape: of an item's ``Memory.final``.
        bridge: a name in ``BRIDGES``: what the first state is made of.
        cell: a name in ``CELLS``.
        dropout: between layers, and on the features.
        residual: layers above the first add their input to their output (Wu et al. 2016, section 3.1).
        layer_norm: normalise each layer's output (Ba et al. 2016); not within the cell, which stays one fused kernel.
    """

    reads_embedding = False  # whether the features see the previous symbol's embedding too

    def __init__(
        self,
        embed_size: int,
        hidden_size: int,
        layers: int,
        attention: Attention,
        final_shape: tuple[int, int, int],
        bridge: str = "dense",
        cell: str = "lstm",
        dropout: Dropout | None = None,
        residual: bool = False,
        layer_norm: bool = False,
    ):
        super().__init__()
        context = attention.context_size
        sizes = [self.inputs(layer, embed_size, hidden_size, context) for layer in range(layers)]
        self.cells: Sequence[Cell] = nn.ModuleList(  # type: ignore[assignment]
            CELLS[cell](known, fed, hidden_size) for known, fed in sizes
        )
        self.attention = attention
        self.bridge = BRIDGES[bridge](final_shape, layers, CELLS[cell].states, hidden_size)
        self.combine: nn.Linear | None = None
        if context:
            width = context + hidden_size + (embed_size if self.reads_embedding else 0)
            self.combine = nn.Linear(width, hidden_size, bias=False)
            init_uniform(self.combine, hidden_size)
        self.dropout = dropout or Dropout(0.0)
        self.residual = residual
        self.norms = nn.ModuleList(nn.LayerNorm(hidden_size) if layer_norm else nn.Identity() for _ in range(layers))

    @staticmethod
    def inputs(layer: int, embed_size: int, hidden_size: int, context_size: int) -> tuple[int, int]:
        """Widths of what a layer reads: known before the loop, and fed to it by the loop."""
        raise NotImplementedError

    def precompute_keys(self, memory: Memory) -> Memory:
        """What depends on the source alone, computed once: the attention's keys."""
        return self.attention.precompute_keys(memory)

    def initial_state(self, memory: Memory) -> DecoderState:
        """State before the first symbol."""
        layers = self.bridge(memory)  # B x L x C x H
        masks = None
        if self.dropout.training and self.dropout.locked and self.dropout.p:
            masks = self.dropout.mask(layers[:, :, 0])
        return DecoderState(layers, None, self.attention.initial_state(memory), masks)

    def step(
        self, embedded: Tensor, state: DecoderState, memory: Memory, share: Tensor | None = None
    ) -> tuple[DecoderState, Tensor, Tensor]:
        """Write one symbol: the only definition of the recurrence.

        Args:
            embedded: N x E embedding of the previous symbol.
            state: of N rows; N = B, or B * K with the K rows of an item together.
            memory: prepared memory of B items.
            share: N x G, the embedding's share of the first layer's gates, where it is known.

        Returns:
            new state, features N x H for the generator, attention weights N x S.
        """
        return self._step(embedded, self.cells[0].project_inputs(embedded) if share is None else share, state, memory)

    def forward(self, embedded: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Unroll ``step`` over a known target (teacher forcing).

        Args:
            embedded: B x T x E embeddings of the previous symbols.
            memory: prepared memory of B items.

        Returns:
            features B x T x H, attention weights B x T x S.
        """
        state = self.initial_state(memory)
        features, attention = [], []
        shares = self.cells[0].project_inputs(embedded)  # of all steps at once
        for symbol, share in zip(embedded.unbind(1), shares.unbind(1), strict=True):
            state, feature, weights = self._step(symbol, share, state, memory)
            features.append(feature)
            attention.append(weights)
        return torch.stack(features, 1), torch.stack(attention, 1)

    def _step(
        self, embedded: Tensor, share: Tensor, state: DecoderState, memory: Memory
    ) -> tuple[DecoderState, Tensor, Tensor]:
        """``step`` with the embedding's share of the first layer's gates, N x G."""
        raise NotImplementedError

    def _recur(self, share: Tensor, fed: Tensor, state: DecoderState) -> tuple[Tensor, Tensor]:
        """All layers, one step. Returns the top output N x H and the layers' states N x L x C x H."""
        states, below = [], fed
        for layer, (cell, before) in enumerate(zip(self.cells, state.layers.unbind(1), strict=True)):
            if layer > 0:
                below = self._drop(below, state, layer - 1)
            hidden, after = cell.step(share if layer == 0 else None, below, before)
            below = self._output(layer, hidden, below)
            states.append(after)
        return below, torch.stack(states, 1)

    def _output(self, layer: int, hidden: Tensor, below: Tensor) -> Tensor:
        """What a layer gives to the one above."""
        return self.norms[layer](hidden + below if self.residual and layer > 0 else hidden)

    def _features(self, state: DecoderState, *parts: Tensor) -> Tensor:
        """f = tanh(W [context; hidden; ...]) (Luong et al. 2015, equation 5); without attention, the hidden state."""
        features = parts[1] if self.combine is None else tanh(self.combine(torch.cat(parts, -1)))
        return self._drop(features, state, -1)

    def _drop(self, x: Tensor, state: DecoderState, layer: int) -> Tensor:
        """Dropout on the output of a layer, or (-1) on the features; N x H or N x T x H."""
        if state.masks is None:
            return self.dropout(x)
        mask = state.masks[:, layer]
        return x * (mask if x.dim() == 2 else mask.unsqueeze(1))
