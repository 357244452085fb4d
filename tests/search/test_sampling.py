"""Sampling against the model's own distribution."""

from __future__ import annotations

import math

import pytest
import torch

from s2s_plugin.errors import UserError
from s2s_plugin.search.options import BeamOptions
from s2s_plugin.search.sampling import smallest_set
from tests.search.conftest import alone

PAD, EOS = 1, 2
DRAWS = 4000


@torch.no_grad()
def first_symbols(model, sample) -> torch.Tensor:
    """P(y_1 | X) of the only sentence; padding, which cannot be drawn, keeps its share."""
    model.eval()
    net_input = sample["net_input"]
    logits = model(net_input["src_tokens"], net_input["src_lengths"], torch.tensor([[EOS]]))[0][0, 0].double()
    return logits.softmax(0)


def drawn(search, model, sample, **options) -> torch.Tensor:
    """Frequencies of the first symbol among many draws."""
    (hypotheses,) = search(model, sample, beam=DRAWS, max_len_b=1, min_len=0, sampling=True, **options)
    assert len(hypotheses) == DRAWS
    first = torch.tensor([int(h["tokens"][0]) for h in hypotheses])
    return torch.bincount(first, minlength=len(model.decoder.dictionary)).double() / DRAWS


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, lambda p: p > 0),
        ({"sampling_topk": 3}, lambda p: p >= p.sort(descending=True).values[2]),
        ({"sampling_topp": 0.7}, lambda p: smallest_set(-p, p, 0.7)),
        ({"typical_sampling": 0.5}, lambda p: smallest_set((-p.log() - torch.special.entr(p).sum()).abs(), p, 0.5)),
        ({"sampling_topk": 1, "typical_sampling": 0.2}, lambda p: p == p.max()),
        ({"sampling_topk": 2, "sampling_topp": 0.01}, lambda p: p == p.max()),
    ],
)
def test_frequencies_are_the_models(build, batch, search, options, kept):
    model, sample = build(12, seed=2, peak=1.5), batch([5])
    probability = first_symbols(model, sample)
    probability[PAD] = 0
    probability /= probability.sum()
    shape = probability.view(1, 1, -1)
    mask = kept(shape if "sampling_topp" in options or "typical_sampling" in options else probability).view(-1)
    expected = torch.where(mask, probability, 0)
    expected /= expected.sum()
    found = drawn(search, model, sample, **options)
    assert found[expected == 0].sum() == 0
    error = 5 * (expected * (1 - expected) / DRAWS).sqrt() + 1e-9
    assert ((found - expected).abs() <= error).all()


def test_the_nucleus_is_the_smallest_set():
    shares = torch.tensor([[[0.5, 0.3, 0.15, 0.05]]])
    for mass, size in ((0.4, 1), (0.5, 1), (0.51, 2), (0.8, 2), (0.96, 4)):
        assert smallest_set(-shares, shares, mass).sum() == size


@pytest.mark.parametrize(
    "truncation",
    [
        {},
        {"sampling_topk": 4},
        {"sampling_topp": 0.8},
        {"typical_sampling": 0.7},
        {"sampling_topk": 8, "sampling_topp": 0.95, "typical_sampling": 0.9},
        {"temperature": 2.0},
    ],
)
def test_a_seed_gives_the_same_whatever_the_batch(build, batch, search, truncation):
    model, sample = build(12, seed=2, peak=1), batch([5, 3, 7])
    options = {"beam": 3, "max_len_b": 10, "sampling": True, "seed": 4} | truncation
    together = search(model, sample, **options)
    assert search(model, sample, **options)[0][0]["tokens"].tolist() == together[0][0]["tokens"].tolist()
    for row in range(3):
        (hypotheses,) = search(model, alone(sample, row), **options)
        assert [h["tokens"].tolist() for h in hypotheses] == [h["tokens"].tolist() for h in together[row]]
    others = search(model, sample, **(options | {"seed": 5}))
    assert [h["tokens"].tolist() for h in others[0]] != [h["tokens"].tolist() for h in together[0]]


def test_scores_are_the_probabilities_of_what_was_drawn(build, batch, search):
    model, sample = build(12, seed=2, peak=1), batch([5])
    (hypotheses,) = search(model, sample, beam=50, max_len_b=1, min_len=0, sampling=True, sampling_topk=4)
    probability = first_symbols(model, sample)
    for hypothesis in hypotheses:
        first = int(hypothesis["tokens"][0])
        assert float(hypothesis["positional_scores"][0]) == pytest.approx(math.log(float(probability[first])), abs=1e-4)


@pytest.mark.parametrize(
    "options",
    [{"sampling_topk": 5}, {"sampling": True, "sampling_topp": 1.5}, {"sampling": True, "ctc_search_weight": 0.3}],
)
def test_refuses_what_makes_no_sense(options):
    with pytest.raises(UserError):
        BeamOptions(**options)
