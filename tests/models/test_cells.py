"""Cells against ``torch.nn``'s, and all steps at once against one after another."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from s2s_plugin.models.layers.cells import CELLS

KNOWN, FED, HIDDEN = 3, 4, 5
KINDS = pytest.mark.parametrize("kind", CELLS)


def state_of(kind: str, rows: int) -> torch.Tensor:
    return torch.randn(rows, CELLS[kind].num_states, HIDDEN).double()


@KINDS
@pytest.mark.parametrize("fed", [0, FED])
@pytest.mark.parametrize("known", [0, KNOWN])
@torch.no_grad()
def test_a_step_equals_torch(kind: str, known: int, fed: int):
    torch.manual_seed(1)
    cell = CELLS[kind](known, fed, HIDDEN).double()
    stock = {"lstm": nn.LSTMCell, "gru": nn.GRUCell, "rnn": nn.RNNCell}[kind](known + fed, HIDDEN).double()
    weights = [] if cell.input_proj is None else [cell.input_proj.weight]
    if kind == "gru":
        weights += [] if cell.feedback_proj is None else [cell.feedback_proj.weight]
        stock.weight_hh.copy_(cell.recurrent_proj.weight)
        stock.bias_ih.copy_(cell.bias)
    else:
        weights += [cell.recurrent_proj.weight[:, :fed]]
        stock.weight_hh.copy_(cell.recurrent_proj.weight[:, fed:])
        stock.bias_ih.zero_()
    stock.bias_hh.copy_(cell.recurrent_proj.bias)
    stock.weight_ih.copy_(torch.cat(weights, 1) if weights else stock.weight_ih)

    x, u, state = torch.randn(6, known).double(), torch.randn(6, fed).double(), state_of(kind, 6)
    output, ours = cell.step(cell.project_inputs(x) if known else None, u if fed else None, state)
    assert torch.equal(output, ours[:, 0])
    theirs = stock(torch.cat((x, u), 1), tuple(state.unbind(1)) if kind == "lstm" else state[:, 0])
    assert_close(ours, torch.stack(theirs, 1) if kind == "lstm" else theirs.unsqueeze(1), rtol=0, atol=1e-12)


@KINDS
def test_all_steps_at_once_equal_one_after_another(kind: str):
    """And so do their gradients."""
    torch.manual_seed(1)
    cell = CELLS[kind](KNOWN, 0, HIDDEN).double()
    x, start = torch.randn(6, 7, KNOWN).double().requires_grad_(), state_of(kind, 6).requires_grad_()
    fused = cell.unroll(x, start)
    state, steps = start, []
    for share in cell.project_inputs(x).unbind(1):
        output, state = cell.step(share, None, state)
        steps.append(output)
    looped = torch.stack(steps, 1)
    assert_close(fused, looped, rtol=0, atol=1e-12)

    inputs = [x, start, *cell.parameters()]
    weight = torch.randn_like(fused)
    for a, b in zip(
        torch.autograd.grad((fused * weight).sum(), inputs),
        torch.autograd.grad((looped * weight).sum(), inputs),
        strict=True,
    ):
        assert_close(a, b, rtol=0, atol=1e-10)


@KINDS
def test_gradients(kind: str):
    cell = CELLS[kind](KNOWN, FED, HIDDEN).double()
    inputs = (torch.randn(2, KNOWN).double(), torch.randn(2, FED).double(), state_of(kind, 2))
    assert torch.autograd.gradcheck(
        lambda x, u, state: cell.step(cell.project_inputs(x), u, state), tuple(i.requires_grad_() for i in inputs)
    )
