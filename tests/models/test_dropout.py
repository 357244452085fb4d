"""Dropout by random bits: rate, scale, independence, seeds."""

from __future__ import annotations

import pytest
import torch

from s2s_plugin.models.layers.dropout import Dropout


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
def test_dropout_drops_and_scales(p: float):
    torch.manual_seed(3)
    x = torch.ones(400, 500, requires_grad=True)
    y = Dropout(p)(x)
    kept = y != 0
    assert kept.float().mean().item() == pytest.approx(1 - p, abs=5 * (p * (1 - p) / x.numel()) ** 0.5)
    torch.testing.assert_close(y[kept], torch.full_like(y[kept], 1 / (1 - p)), rtol=1e-4, atol=0)
    y.sum().backward()
    torch.testing.assert_close(x.grad, y.detach())


def test_dropout_is_independent_of_the_neighbors():
    """Four elements share a draw of 64 bits; none follows another."""
    torch.manual_seed(4)
    kept = (Dropout(0.5)(torch.ones(100_000, 4)) != 0).float()
    correlation = torch.corrcoef(kept.t())
    assert (correlation - torch.eye(4)).abs().max() < 0.02


def test_dropout_follows_the_seed_and_stops_in_evaluation():
    dropout, x = Dropout(0.5), torch.randn(7, 9)
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(dropout(x))
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    assert dropout.eval()(x) is x
    assert dropout.train()(x.bfloat16()).dtype == torch.bfloat16
