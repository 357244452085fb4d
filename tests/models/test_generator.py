"""The generator's kinds: distributions that sum to one, and equal plain computations."""

from __future__ import annotations

import torch
from torch.testing import assert_close

from s2s_plugin.models.generator import AdaptiveGenerator, PointerGenerator
from s2s_plugin.models.layers.dropout import Dropout
from s2s_plugin.models.memory import Memory

B, K, S, H, V = 2, 3, 5, 4, 9


def memory() -> Memory:
    mask = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    copy_ids = torch.tensor([[4, 5, 4, 8, 2], [7, 7, 2, 1, 1]])
    return Memory(torch.zeros(B, S, 1), mask, torch.zeros(B, 1, 1, 1), None, copy_ids)


def attention() -> torch.Tensor:
    scores = torch.randn(B, K, S).double().masked_fill(memory().padding_mask.unsqueeze(1), float("-inf"))
    return scores.softmax(-1).view(B * K, S)


@torch.no_grad()
def test_pointer_equals_plain_loops():
    torch.manual_seed(1)
    generator = PointerGenerator(H, H, V, Dropout(0.0)).double()
    features, weights = torch.randn(B * K, H).double(), attention()
    p = generator(features, weights, memory()).exp()
    for row in range(B * K):
        p_vocab = generator.output(features[row]).softmax(-1)
        p_gen = generator.switch(features[row]).sigmoid().item()
        expected = [p_gen * value for value in p_vocab.tolist()]
        for s, token in enumerate(memory().copy_ids[row // K].tolist()):
            expected[token] += (1 - p_gen) * weights[row, s].item()
        assert_close(p[row].tolist(), expected, rtol=0, atol=1e-6)  # taken in float32
    assert_close(p.sum(1), torch.ones(B * K))


@torch.no_grad()
def test_pointer_over_time_equals_row_by_row():
    torch.manual_seed(1)
    generator = PointerGenerator(H, 3, V, Dropout(0.0)).double()
    features, weights = torch.randn(B * K, H).double(), attention()
    flat = generator(features, weights, memory())
    assert_close(generator(features.view(B, K, H), weights.view(B, K, S), memory()).flatten(0, 1), flat)


@torch.no_grad()
def test_a_normalised_score_stays_what_it_is():
    """Search and losses normalise again; that must change nothing."""
    generator = PointerGenerator(H, H, V, Dropout(0.0)).double()
    scores = generator(torch.randn(B * K, H).double(), attention(), memory())
    assert_close(scores.log_softmax(-1), scores, rtol=0, atol=1e-6)


@torch.no_grad()
def test_adaptive_scores_of_a_target_are_those_of_all():
    torch.manual_seed(1)
    generator = AdaptiveGenerator(16, 40, [5, 20])
    features, target = torch.randn(30, 16), torch.randint(0, 40, (30,))
    scores = generator(features.view(5, 6, 16), torch.zeros(0), memory())
    assert_close(scores.exp().sum(-1), torch.ones(5, 6))
    assert_close(
        generator.target_log_probs(features, target), scores.view(30, 40)[range(30), target], rtol=0, atol=1e-5
    )


def test_adaptive_trains_under_autocast():
    generator = AdaptiveGenerator(16, 40, [5, 20])
    with torch.autocast("cpu", torch.bfloat16):
        features = torch.nn.functional.linear(torch.randn(8, 16), torch.eye(16))
        assert features.dtype == torch.bfloat16
        loss = -generator.target_log_probs(features, torch.arange(0, 40, 5)).sum()
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in generator.parameters())
