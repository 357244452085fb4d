"""Recurrent cells of the decoder: one step of a layer, or all steps at once where nothing is fed back."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from s2s_plugin.models.layers.init import init_uniform


class Cell(nn.Module):
    """One recurrent layer over inputs x_t known in advance and feedback u_t computed by the previous step.

    The part of the pre-activations due to x does not depend on the recurrence: :meth:`project_inputs` computes it for
    all steps in one matrix product, and :meth:`step` adds the rest.

    Args:
        input_size: width X of x; 0 without inputs known in advance.
        feedback_size: width U of u; 0 without feedback, which :meth:`unroll` requires.
        hidden_size: width H of the hidden state.
    """

    num_states = 1  # vectors C in a state N x C x H; the first of them is the output
    num_gates = 1
    kernel: Callable  # of torch, for all steps

    def __init__(self, input_size: int, feedback_size: int, hidden_size: int):
        super().__init__()
        width = self.num_gates * hidden_size
        self.input_proj = nn.Linear(input_size, width, bias=False) if input_size else None
        self.recurrent_proj = nn.Linear(feedback_size + hidden_size, width)  # [u_t; h_{t-1}] in one product
        init_uniform(self, hidden_size)

    def project_inputs(self, x: Tensor) -> Tensor:
        """Project inputs ... x X to their part of the pre-activations, ... x G; without inputs zeros, ... x 1."""
        return x.new_zeros(*x.shape[:-1], 1) if self.input_proj is None else self.input_proj(x)

    def step(self, input_gates: Tensor | None, feedback: Tensor | None, state: Tensor) -> tuple[Tensor, Tensor]:
        """Run one step: return the output N x H and the next state N x C x H, which begins with it.

        ``input_gates`` is N x G from :meth:`project_inputs`, ``feedback`` N x U; each is None without such an input.
        """
        raise NotImplementedError

    def unroll(self, x: Tensor, state: Tensor) -> Tensor:
        """Run all steps in one call of torch's fused kernel: inputs N x T x X to outputs N x T x H."""
        start = state.transpose(0, 1).contiguous()
        start = start.split(1) if len(start) > 1 else start
        return self.kernel(x, start, self._weights(), True, 1, 0.0, self.training, False, True)[0]

    def _preactivations(self, input_gates: Tensor | None, feedback: Tensor | None, hidden: Tensor) -> Tensor:
        gates = self.recurrent_proj(hidden if feedback is None else torch.cat((feedback, hidden), 1))
        return gates if input_gates is None else gates + input_gates

    def _weights(self) -> list[Tensor]:
        """Return W_x, W_h, b_x, b_h for torch's kernels."""
        assert self.input_proj is not None
        bias = self.recurrent_proj.bias
        return [self.input_proj.weight, self.recurrent_proj.weight, bias, torch.zeros_like(bias)]


def tanh(x: Tensor) -> Tensor:
    """Compute tanh on a CPU without gradient as 2 s(2x) - 1: within 1e-7, and four times as fast as torch's own."""
    if x.requires_grad or x.device.type != "cpu" or x.numel() < 2**11:
        return x.tanh()
    return (2 * x).sigmoid_().mul_(2).sub_(1)


class LSTMCell(Cell):
    """Long short-term memory (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000).

    [i; f; g; o] = W_x x + W_u u + W_h h + b;  c' = s(f) c + s(i) tanh(g);  h' = s(o) tanh(c').
    """

    num_states, num_gates = 2, 4
    kernel = staticmethod(torch.lstm)

    def step(self, input_gates: Tensor | None, feedback: Tensor | None, state: Tensor) -> tuple[Tensor, Tensor]:
        hidden, cell = state.unbind(1)
        i, f, g, o = self._preactivations(input_gates, feedback, hidden).chunk(4, 1)
        cell = f.sigmoid() * cell + i.sigmoid() * tanh(g)
        hidden = o.sigmoid() * tanh(cell)
        return hidden, torch.stack((hidden, cell), 1)


class GRUCell(Cell):
    """Gated recurrent unit (Cho et al. 2014), in the variant of torch and cuDNN.

    [r; z; n_x] = W_x x + W_u u + b;  [r_h; z_h; n_h] = W_h h + b_h;
    n = tanh(n_x + s(r + r_h) n_h);  h' = (1 - s(z + z_h)) n + s(z + z_h) h.
    """

    num_gates = 3
    kernel = staticmethod(torch.gru)

    def __init__(self, input_size: int, feedback_size: int, hidden_size: int):
        super().__init__(input_size, 0, hidden_size)  # the reset gate needs W_h h separately from W_u u
        self.feedback_proj = nn.Linear(feedback_size, 3 * hidden_size, bias=False) if feedback_size else None
        self.bias = nn.Parameter(torch.zeros(3 * hidden_size))
        init_uniform(self, hidden_size)

    def step(self, input_gates: Tensor | None, feedback: Tensor | None, state: Tensor) -> tuple[Tensor, Tensor]:
        hidden = state.squeeze(1)
        inputs = self.bias if input_gates is None else input_gates + self.bias
        if self.feedback_proj is not None:
            assert feedback is not None
            inputs = inputs + self.feedback_proj(feedback)
        r, z, n = inputs.expand(hidden.size(0), -1).chunk(3, 1)
        r_h, z_h, n_h = self.recurrent_proj(hidden).chunk(3, 1)
        update = (z + z_h).sigmoid()
        new = tanh(n + (r + r_h).sigmoid() * n_h)
        hidden = new + update * (hidden - new)
        return hidden, hidden.unsqueeze(1)

    def _weights(self) -> list[Tensor]:
        w_x, w_h, b_h, _ = super()._weights()
        return [w_x, w_h, self.bias, b_h]


class RNNCell(Cell):
    """Plain recurrence (Elman 1990): h' = tanh(W_x x + W_u u + W_h h + b)."""

    kernel = staticmethod(torch.rnn_tanh)

    def step(self, input_gates: Tensor | None, feedback: Tensor | None, state: Tensor) -> tuple[Tensor, Tensor]:
        hidden = tanh(self._preactivations(input_gates, feedback, state.squeeze(1)))
        return hidden, hidden.unsqueeze(1)


CELLS: dict[str, type[Cell]] = {"lstm": LSTMCell, "gru": GRUCell, "rnn": RNNCell}
LAYERS: dict[str, type[nn.LSTM | nn.GRU | nn.RNN]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}  # of encoders
