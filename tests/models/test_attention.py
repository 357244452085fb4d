"""Every kind of attention against plain Python loops in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from s2s_plugin.errors import UserError
from s2s_plugin.models.attention import ATTENTIONS, Attention, build_attention, register_attention
from s2s_plugin.models.attention.history import COVERAGES
from s2s_plugin.models.attention.multi_head import HEADS
from s2s_plugin.models.config import Seq2SeqConfig, check_values
from s2s_plugin.models.memory import Memory

QUERY, VALUE, SIZE = 8, 8, 5
LENGTHS = [5, 1, 3]
KINDS = pytest.mark.parametrize("kind", [kind for kind in ATTENTIONS if kind != "none"])
COVERED = [(k, c) for k in ATTENTIONS if k not in ("none", "location") for c in COVERAGES] + [("location", "none")]
HISTORIES = pytest.mark.parametrize(("kind", "coverage"), COVERED)
LOOPED = pytest.mark.parametrize(("kind", "coverage"), [pair for pair in COVERED if pair[0] != "multi_head"])


def build(kind: str, coverage: str = "none"):
    torch.manual_seed(1)
    attention = build_attention(kind, QUERY, VALUE, SIZE, coverage).double()
    values = torch.randn(len(LENGTHS), max(LENGTHS), VALUE).double()
    mask = torch.arange(max(LENGTHS)) >= torch.tensor(LENGTHS)[:, None]
    return attention, Memory(values, mask, torch.zeros(len(LENGTHS), 1, 1, 1))


def linear(layer, x: list[float]) -> list[float]:
    bias = [0.0] * layer.out_features if layer.bias is None else layer.bias.tolist()
    return [dot(row, x) + b for row, b in zip(layer.weight.tolist(), bias, strict=True)]


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def tanh(x: list[float]) -> list[float]:
    return [math.tanh(v) for v in x]


def added(*xs: list[float]) -> list[float]:
    return [sum(parts) for parts in zip(*xs, strict=True)]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def reference_score(attention, kind: str, h: list[float], m: list[float], features: list[float]) -> float:
    """Return score(h, m_s) from the formula of a kind other than multi_head."""
    if kind in ("additive", "normalized", "location"):
        inner = added(linear(attention.key, m), linear(attention.query, h))
        if features:
            inner = added(inner, linear(attention.history_proj, features))
        v = attention.energy.weight[0].tolist()
        if kind == "normalized":
            norm = math.sqrt(dot(v, v))
            v = [float(attention.gain) * x / norm for x in v]
        return dot(v, tanh(inner))
    assert kind in ("dot", "general"), f"add the formula of {kind}"
    score = dot(h, linear(attention.key, m) if kind == "general" else m)
    if features:
        score += dot(linear(attention.history_proj, h), features)
    return score


def reference_features(attention, kind: str, coverage: str, past: list[list[float]], state: list[list[float]]):
    """Return features of every source step after earlier weights ``past``; ``state`` of gated coverage."""
    features: list[list[float]] = [[] for _ in range(max(LENGTHS))]
    if kind == "location":
        last = past[-1] if past else [0.0] * max(LENGTHS)
        for s in range(max(LENGTHS)):
            for row in attention.history.filters.weight[:, 0].tolist():
                reach = len(row) // 2
                features[s].append(
                    sum(w * last[s + i - reach] for i, w in enumerate(row) if 0 <= s + i - reach < max(LENGTHS))
                )
    for s in range(max(LENGTHS)):
        if coverage == "sum":
            features[s].append(sum(weights[s] for weights in past))
        elif coverage == "gated":
            features[s] += state[s]
    return features


def reference_gated(history, state: list[float], weight: float, h: list[float], m: list[float]) -> list[float]:
    inputs = added(linear(history.weight, [weight]), linear(history.value, m), linear(history.query, h))
    recurrent, size = linear(history.recurrent, state), history.feature_size
    new = []
    for i in range(size):
        r = sigmoid(inputs[i] + recurrent[i])
        z = sigmoid(inputs[size + i] + recurrent[size + i])
        n = math.tanh(inputs[2 * size + i] + r * recurrent[2 * size + i])
        new.append((1 - z) * n + z * state[i])
    return new


@LOOPED
@torch.no_grad()
def test_three_steps_equal_python_loops(kind: str, coverage: str):
    attention, memory = build(kind, coverage)
    prepared = attention.precompute_keys(memory)
    queries = torch.randn(3, len(LENGTHS), QUERY).double()
    attn_state = attention.initial_state(prepared)
    before: list[list[list[float]]] = [[] for _ in LENGTHS]
    gated = [[[0.0] * 10 for _ in range(max(LENGTHS))] for _ in LENGTHS]
    for query in queries:
        context, weights, attn_state = attention(query, prepared, attn_state)
        for item, length in enumerate(LENGTHS):
            h, values = query[item].tolist(), memory.values[item].tolist()
            features = reference_features(attention, kind, coverage, before[item], gated[item])
            scores = [reference_score(attention, kind, h, values[s], features[s]) for s in range(length)]
            expected = [math.exp(score - max(scores)) for score in scores]
            expected = [value / sum(expected) for value in expected] + [0.0] * (max(LENGTHS) - length)
            read = added(*([p * v for v in step] for p, step in zip(expected, values, strict=True)))
            assert_close(weights[item].tolist(), expected, rtol=0, atol=1e-12)
            assert_close(context[item].tolist(), read, rtol=0, atol=1e-12)
            before[item].append(expected)
            if coverage == "gated":
                gated[item] = [
                    reference_gated(attention.history, gated[item][s], expected[s], h, values[s])
                    for s in range(max(LENGTHS))
                ]


@torch.no_grad()
def test_multi_head_equals_torch():
    """``torch.nn.MultiheadAttention`` with our weights and an identity as its output projection."""
    attention, memory = build("multi_head")
    stock = torch.nn.MultiheadAttention(VALUE, HEADS, batch_first=True).double()
    stock.in_proj_weight.copy_(torch.cat((attention.query.weight, attention.key_and_value.weight)))
    stock.in_proj_bias.copy_(torch.cat((attention.query.bias, attention.key_and_value.bias)))
    stock.out_proj.weight.copy_(torch.eye(VALUE))
    query = torch.randn(2 * len(LENGTHS), QUERY).double()  # two of each item
    context, weights, _ = attention(query, attention.precompute_keys(memory))
    expected, expected_weights = stock(
        query.view(len(LENGTHS), 2, QUERY), memory.values, memory.values, key_padding_mask=memory.padding_mask
    )
    assert_close(context, expected.flatten(0, 1), rtol=0, atol=1e-12)
    assert_close(weights, expected_weights.flatten(0, 1), rtol=0, atol=1e-12)


@HISTORIES
@torch.no_grad()
def test_queries_of_an_item_equal_a_repeated_memory(kind: str, coverage: str):
    attention, memory = build(kind, coverage)
    memory = attention.precompute_keys(memory)
    spread = torch.arange(3).repeat_interleave(4)
    repeated = memory.reorder(spread)
    attn_state = other = attention.initial_state(repeated)
    for _ in range(2):
        query = torch.randn(12, QUERY).double()
        context, weights, attn_state = attention(query, memory, attn_state)
        expected, expected_weights, other = attention(query, repeated, other)
        assert_close((context, weights), (expected, expected_weights), rtol=0, atol=1e-12)


@HISTORIES
@torch.no_grad()
def test_padding_is_never_read(kind: str, coverage: str):
    """Not even if it holds huge values."""
    attention, memory = build(kind, coverage)
    query = torch.randn(3, QUERY).double()
    clean = attention(query, attention.precompute_keys(memory), attention.initial_state(memory))
    memory.values[memory.padding_mask] = 1e150
    context, weights, _ = attention(query, attention.precompute_keys(memory), attention.initial_state(memory))
    assert_close((context, weights), clean[:2])


@KINDS
@torch.no_grad()
def test_large_scores_stay_finite(kind: str):
    attention, memory = build(kind)
    attention, memory = attention.float(), memory._replace(values=memory.values.float() * 1e4)
    context, weights, _ = attention(
        torch.randn(3, QUERY) * 1e4, attention.precompute_keys(memory), attention.initial_state(memory)
    )
    assert context.isfinite().all()
    assert_close(weights.sum(1), torch.ones(3))


@HISTORIES
def test_gradients(kind: str, coverage: str):
    """Of queries and values, over two steps, against differences."""
    attention, memory = build(kind, coverage)

    def run(first, second, values):
        prepared = attention.precompute_keys(memory._replace(values=values))
        context, _, attn_state = attention(first, prepared, attention.initial_state(prepared))
        other, weights, _ = attention(second, prepared, attn_state)
        return context, other, weights

    inputs = [torch.randn(3, QUERY).double().requires_grad_() for _ in range(2)]
    assert torch.autograd.gradcheck(run, (*inputs, memory.values.requires_grad_()))


@torch.no_grad()
def test_without_attention_there_is_no_context():
    attention, memory = build("none")
    context, weights, attn_state = attention(torch.randn(3, QUERY).double(), attention.precompute_keys(memory))
    assert context.shape == (3, 0)
    assert attn_state is None
    assert weights.eq(0).all()


def test_coverage_requires_a_projection_of_its_features(monkeypatch: pytest.MonkeyPatch):
    class Plain(Attention):
        def score(self, query, memory, history_features):
            return query @ memory.keys.transpose(1, 2)

    monkeypatch.setitem(ATTENTIONS, "plain", Plain)
    build_attention("plain", QUERY, QUERY, SIZE)
    with pytest.raises(UserError, match=r"model\.attention=plain has no history_proj for model\.coverage=sum"):
        build_attention("plain", QUERY, QUERY, SIZE, "sum")
    state = torch.random.get_rng_state()
    with pytest.raises(UserError, match=r"model\.attention=plain has no history_proj"):  # before anything is prepared
        check_values(Seq2SeqConfig(attention="plain", coverage="sum"))
    check_values(Seq2SeqConfig(attention="general", coverage="gated"))
    assert torch.equal(torch.random.get_rng_state(), state)


class Scoreless(Attention):
    pass


class Bare(Scoreless):
    def __init__(self):
        super().__init__(1, 1, 1)

    def score(self, query, memory, history_features):
        return query


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        (torch.nn.Linear, r"the attention mine \(Linear\) must be a subclass of s2s_plugin.models.attention.Attention"),
        (build, r"the attention mine \(build\) must be a subclass"),
        (Scoreless, r"the attention mine \(Scoreless\) must define score\(query, memory, history_features\)"),
        (Bare, r"the attention mine \(Bare\) must take \(query_size, value_size, size, history=None\) in __init__"),
    ],
)
def test_what_is_no_attention_is_not_registered(kind, rule: str):
    with pytest.raises(UserError, match=rule):
        register_attention("mine")(kind)
    assert "mine" not in ATTENTIONS
