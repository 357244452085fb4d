"""Recurrent cells of the decoder: one step of a layer, or all steps at once where nothing is fed back to it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from s2s_plugin.models.layers.init import init_uniform


class Cell(nn.Module):
    """One layer of a recurrence over known inputs x_t and inputs u_t that only the step before can give.

    The part of the pre-activations due to x does not depend on the recurrence: :meth:`project_inputs` computes it for
    all steps in one matrix product, and :meth:`step` adds the rest.

    Args:
        known_size: width X of x; 0 where all is fed.
        fed_size: width U of u; 0 where nothing is fed, and then :meth:`unroll` may be used.
        hidden_size: width H of the hidden state.

    Attributes:
        states: number C of vectors that make a state N x C x H; the first of them is the output.
    """

    states = 1
    gates = 1

    def __init__(self, known_size: int, fed_size: int, hidden_size: int):
        super().__init__()
        width = self.gates * hidden_size
        self.input_proj = nn.Linear(known_size, width, bias=False) if known_size else None
        self.recurrent_proj = nn.Linear(fed_size + hidden_size, width)  # [u_t; h_{t-1}], one product for both
        init_uniform(self, hidden_size)

    def project_inputs(self, x: Tensor) -> Tensor:
        """... x X inputs to their share of the gates, ... x G."""
        assert self.input_proj is not None
        return self.input_proj(x)

    def step(self, share: Tensor | None, fed: Tensor | None, state: Tensor) -> tuple[Tensor, Tensor]:
        """One step: the output N x H, and the state N x C x H that begins with it.

        Args:
            share: N x G from :meth:`project_inputs`; None where nothing is known in advance.
            fed: N x U, or None.
            state: N x C x H before.
        """
        raise NotImplementedError

    def unroll(self, x: Tensor, state: Tensor) -> Tensor:
        """All steps in one call of torch's fused kernel: N x T x X inputs to N x T x H outputs."""
        raise NotImplementedError

    def _preactivations(self, share: Tensor | None, fed: Tensor | None, hidden: Tensor) -> Tensor:
        gates = self.recurrent_proj(hidden if fed is None else torch.cat((fed, hidden), 1))
        return gates if share is None else gates + share

    def _weights(self) -> list[Tensor]:
        """As torch's kernels want them: W_x, W_h, b_x, b_h."""
        assert self.input_proj is not None
        return [
            self.input_proj.weight,
            self.recurrent_proj.weight,
            self.recurrent_proj.bias,
            torch.zeros_like(self.recurrent_proj.bias),
        ]


def tanh(x: Tensor) -> Tensor:
    """On a CPU, where no gradient is wanted, as 2 s(2x) - 1: exact to 1e-7, and four times as fast as torch's own."""
    if x.requires_grad or x.device.type != "cpu" or x.numel() < 2**11:
        return x.tanh()
    return (2 * x).sigmoid_().mul_(2).sub_(1)


class LSTMCell(Cell):
    """Long short-term memory (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000).

    [i; f; g; o] = W_x x + W_u u + W_h h + b;  c' = s(f) c + s(i) tanh(g);  h' = s(o) tanh(c').
    """

    states, gates = 2, 4

    def step(self, share: Tensor | None, fed: Tensor | None, state: Tensor) -> tuple[Tensor, Tensor]:
        hidden, cell = state.unbind(1)
        i, f, g, o = self._preactivations(share, fed, hidden).chunk(4, 1)
        cell = f.sigmoid() * cell + i.sigmoid() * tanh(g)
        hidden = o.sigmoid() * tanh(cell)
        return hidden, torch.stack((hidden, cell), 1)

    def unroll(self, x: Tensor, state: Tensor) -> Tensor:
        start = tuple(part.unsqueeze(0).contiguous() for part in state.unbind(1))
        return torch.lstm(x, start, self._weights(), True, 1, 0.0, self.training, False, True)[0]


class GRUCell(Cell):
    """Gated recurrent unit (Cho et al. 2014), as torch and cuDNN have it.

    [r; z; n_x] = W_x x + W_u u + b;  [r_h; z_h; n_h] = W_h h + b_h;
    n = tanh(n_x + s(r + r_h) n_h);  h' = (1 - s(z + z_h)) n + s(z + z_h) h.
    """

    gates = 3

    def __init__(self, known_size: int, fed_size: int, hidden_size: int):
        super().__init__(known_size, 0, hidden_size)  # the reset gate needs the share of h by itself
        self.feedback = nn.Linear(fed_size, 3 * hidden_size, bias=False) if fed_size else None
        self.bias = nn.Parameter(torch.zeros(3 * hidden_size))
        init_uniform(self, hidden_size)

    def step(self, share: Tensor | None, fed: Tensor | None, state: Tensor) -> tuple[Tensor, Tensor]:
        hidden = state.squeeze(1)
        inputs = self.bias if share is None else share + self.bias
        if self.feedback is not None:
            assert fed is not None
            inputs = inputs + self.feedback(fed)
        r, z, n = inputs.expand(len(hidden), -1).chunk(3, 1)
        r_h, z_h, n_h = self.recurrent_proj(hidden).chunk(3, 1)
        update = (z + z_h).sigmoid()
        new = tanh(n + (r + r_h).sigmoid() * n_h)
        hidden = new + update * (hidden - new)
        return hidden, hidden.unsqueeze(1)

    def unroll(self, x: Tensor, state: Tensor) -> Tensor:
        start = state.transpose(0, 1).contiguous()
        return torch.gru(x, start, self._weights(), True, 1, 0.0, self.training, False, True)[0]

    def _weights(self) -> list[Tensor]:
        known, loop, loop_bias, _ = super()._weights()
        return [known, loop, self.bias, loop_bias]


class RNNCell(Cell):
    """Plain recurrence (Elman 1990): h' = tanh(W_x x + W_u u + W_h h + b)."""

    def step(self, share: Tensor | None, fed: Tensor | None, state: Tensor) -> tuple[Tensor, Tensor]:
        hidden = tanh(self._preactivations(share, fed, state.squeeze(1)))
        return hidden, hidden.unsqueeze(1)

    def unroll(self, x: Tensor, state: Tensor) -> Tensor:
        start = state.transpose(0, 1).contiguous()
        return torch.rnn_tanh(x, start, self._weights(), True, 1, 0.0, self.training, False, True)[0]


CELLS: dict[str, type[Cell]] = {"lstm": LSTMCell, "gru": GRUCell, "rnn": RNNCell}
LAYERS: dict[str, type[nn.LSTM | nn.GRU | nn.RNN]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}  # of encoders
