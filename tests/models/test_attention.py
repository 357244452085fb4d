"""General attention against plain python loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from s2s_plugin.models.attention import GeneralAttention
from s2s_plugin.models.memory import Memory


def random_memory(lengths: list[int], width: int) -> Memory:
    values = torch.randn(len(lengths), max(lengths), width)
    mask = torch.arange(max(lengths)) >= torch.tensor(lengths)[:, None]
    return Memory(values, mask, torch.zeros(len(lengths), 1))


@pytest.mark.parametrize("queries", [1, 3])
@torch.no_grad()
def test_equals_python_loops(queries):
    torch.manual_seed(queries)
    lengths, query_size, value_size = [5, 1, 3], 4, 6
    attention = GeneralAttention(query_size, value_size, 0).double()
    memory = random_memory(lengths, value_size)
    memory = attention.prepare(memory._replace(values=memory.values.double()))
    query = torch.randn(len(lengths) * queries, query_size).double()
    context, weights = attention(query, memory)

    assert context.shape == (len(query), value_size)
    assert weights.shape == (len(query), max(lengths))
    w = attention.key.weight.tolist()
    for row, h in enumerate(query.tolist()):
        item = row // queries
        m = memory.values[item, : lengths[item]].tolist()
        scores = [sum(h[a] * w[a][d] * step[d] for a in range(query_size) for d in range(value_size)) for step in m]
        top = max(scores)
        share = [math.exp(score - top) for score in scores]
        share = [value / sum(share) for value in share]
        read = [sum(p * step[d] for p, step in zip(share, m, strict=True)) for d in range(value_size)]
        assert_close(weights[row, : lengths[item]].tolist(), share, rtol=0, atol=1e-6)
        assert_close(context[row].tolist(), read, rtol=0, atol=1e-6)
        assert weights[row, lengths[item] :].tolist() == [0.0] * (max(lengths) - lengths[item])


@torch.no_grad()
def test_queries_of_an_item_equal_a_repeated_memory():
    torch.manual_seed(0)
    attention = GeneralAttention(4, 6, 0)
    memory = attention.prepare(random_memory([5, 1, 3], 6))
    query = torch.randn(12, 4)
    together = attention(query, memory)
    apart = attention(query, memory.reorder(torch.arange(3).repeat_interleave(4)))
    assert_close(together, apart, rtol=0, atol=1e-6)


@torch.no_grad()
def test_padding_is_never_read():
    """Not even where it holds what no arithmetic survives."""
    torch.manual_seed(0)
    attention = GeneralAttention(4, 6, 0)
    memory, query = random_memory([5, 2], 6), torch.randn(2, 4)
    clean = attention(query, attention.prepare(memory))
    memory.values[1, 2:] = 1e30
    context, weights = attention(query, attention.prepare(memory))
    assert_close((context, weights), clean)


@torch.no_grad()
def test_large_scores_stay_finite():
    attention = GeneralAttention(4, 6, 0)
    memory = random_memory([5, 2], 6)
    memory = attention.prepare(memory._replace(values=memory.values * 1e4))
    context, weights = attention(torch.randn(2, 4) * 1e4, memory)
    assert context.isfinite().all()
    assert_close(weights.sum(1), torch.ones(2))
