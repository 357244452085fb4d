"""Base of all decoder types: the state, the step, and teacher forcing."""

from collections.abc import Callable, Sequence
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
    """All that a step needs from the previous step, for N rows; batch-first, so any row can be re-indexed."""

    layers: Tensor  # N x L x C x H states of the L layers: hidden state and, for an LSTM, cell state
    feed: Tensor | None = None  # N x H features of the previous step, with input feeding
    attn_state: Tensor | None = None  # N x S x P, with an attention history
    masks: Tensor | None = None  # N x L x H dropout masks for all steps, in training with locked dropout

    def reorder(self, index: Tensor) -> "DecoderState":
        """Select rows by ``index``: N' positions into N (may repeat)."""
        return DecoderState._make(None if field is None else field.index_select(0, index) for field in self)


READOUTS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": tanh, "linear": lambda x: x}
DecoderStep = tuple[DecoderState, Tensor, Tensor]  # next state, features N x H, attention weights N x S


class Decoder(nn.Module):
    """A stack of L recurrent layers with attention that decodes one token a step.

    Subclasses define where attention is applied by :meth:`input_sizes` and :meth:`_step`.

    Args:
        embed_size: width E of a target embedding.
        hidden_size: width H of the states and of the features.
        final_shape: shape of one item's ``Memory.final``.
        bridge: a name in ``BRIDGES``.
        cell: a name in ``CELLS``.
        dropout: applied between layers and to the features.
        residual: layers above the first add their input to their output (Wu et al. 2016, section 3.1).
        layer_norm: normalize each layer's output (Ba et al. 2016); not inside the cell, which stays one fused kernel.
        readout: a name in ``READOUTS``, the activation of the features.
        readout_bias: add a bias before it.
    """

    uses_embedding_in_readout = False
    uses_meanings = False  # whether the features are those of the memory, rather than of the states

    def __init__(
        self, embed_size: int, hidden_size: int, layers: int, attention: Attention, final_shape: tuple[int, int, int],
        bridge: str, cell: str, dropout: Dropout, residual: bool, layer_norm: bool,
        readout: str = "tanh", readout_bias: bool = False,
    ):  # fmt: skip
        super().__init__()
        context = attention.context_size
        sizes = [self.input_sizes(layer, embed_size, hidden_size, context) for layer in range(layers)]
        self.cells: Sequence[Cell] = nn.ModuleList(  # type: ignore[assignment]
            CELLS[cell](input_size, feedback_size, hidden_size) for input_size, feedback_size in sizes
        )
        self.attention = attention
        self.bridge = BRIDGES[bridge](final_shape, layers, CELLS[cell].num_states, hidden_size)
        self.combine: nn.Linear | None = None
        if context and not self.uses_meanings:
            width = context + hidden_size + (embed_size if self.uses_embedding_in_readout else 0)
            self.combine = nn.Linear(width, hidden_size, bias=readout_bias)
            init_uniform(self.combine, hidden_size)
        self.readout = READOUTS[readout]
        self.dropout = dropout
        self.residual = residual
        self.norms = nn.ModuleList(nn.LayerNorm(hidden_size) if layer_norm else nn.Identity() for _ in range(layers))

    @staticmethod
    def input_sizes(layer: int, embed_size: int, hidden_size: int, context_size: int) -> tuple[int, int]:
        """Return the widths of a layer's inputs: those known for all steps in advance, and those of the last step."""
        raise NotImplementedError

    def initial_state(self, memory: Memory) -> DecoderState:
        """Return the state before the first token."""
        layers = self.bridge(memory)  # B x L x C x H
        locked = self.dropout.training and self.dropout.locked and self.dropout.p
        masks = self.dropout.mask(layers[:, :, 0]) if locked else None
        return DecoderState(layers, None, self.attention.initial_state(memory), masks)

    def step(
        self, embedded: Tensor, state: DecoderState, memory: Memory, input_gates: Tensor | None = None
    ) -> DecoderStep:
        """Decode one token: the only definition of the recurrence.

        Args:
            embedded: N x E embedding of the previous token.
            state: of N rows; N = B, or B * K with the K rows of an item adjacent.
            memory: B items with keys.
            input_gates: N x G, the first layer's ``project_inputs(embedded)`` if already computed.
        """
        if input_gates is None:
            input_gates = self.cells[0].project_inputs(embedded)
        return self._step(embedded, input_gates, state, memory)

    def forward(self, embedded: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Unroll :meth:`step` over a target (teacher forcing): features B x T x H, attention weights B x T x S.

        ``embedded`` holds the previous tokens' embeddings, B x T x E; ``memory`` has keys.
        """
        state, outputs = self.initial_state(memory), []
        input_gates = self.cells[0].project_inputs(embedded)  # of all steps at once
        for step_embedded, step_gates in zip(embedded.unbind(1), input_gates.unbind(1), strict=True):
            state, *output = self._step(step_embedded, step_gates, state, memory)
            outputs.append(output)
        features, attention = (torch.stack(steps, 1) for steps in zip(*outputs, strict=True))
        return features, attention

    def _step(self, embedded: Tensor, input_gates: Tensor, state: DecoderState, memory: Memory) -> DecoderStep:
        """Decode one token with the first layer's projected inputs."""
        raise NotImplementedError

    def _run_layers(self, input_gates: Tensor, layer_input: Tensor, state: DecoderState) -> tuple[Tensor, Tensor]:
        """Run all layers for one step. Returns the top output N x H and the layers' states N x L x C x H."""
        states = []
        for layer, (cell, prev_state) in enumerate(zip(self.cells, state.layers.unbind(1), strict=True)):
            if layer > 0:
                layer_input = self._drop(layer_input, state, layer - 1)
            hidden, next_state = cell.step(input_gates if layer == 0 else None, layer_input, prev_state)
            layer_input = self._output(layer, hidden, layer_input)
            states.append(next_state)
        return layer_input, torch.stack(states, 1)

    def _output(self, layer: int, hidden: Tensor, layer_input: Tensor) -> Tensor:
        """Return a layer's output, with residual connection and normalization."""
        return self.norms[layer](hidden + layer_input if self.residual and layer > 0 else hidden)

    def _features(self, state: DecoderState, *parts: Tensor) -> Tensor:
        """Return tanh(W [context; hidden; ...]) (Luong et al. 2015, equation 5), or hidden without attention."""
        features = parts[1] if self.combine is None else self.readout(self.combine(torch.cat(parts, -1)))
        return self._drop(features, state, -1)

    def _drop(self, x: Tensor, state: DecoderState, layer: int) -> Tensor:
        """Apply dropout to the output of a layer, or (-1) to the features; N x H or N x T x H."""
        if state.masks is None:
            return self.dropout(x)
        mask = state.masks[:, layer]
        return x * (mask if x.dim() == 2 else mask.unsqueeze(1))
