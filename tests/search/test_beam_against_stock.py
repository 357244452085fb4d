"""With fairseq's rule for the end, token for token what its own SequenceGenerator finds with the same model."""

from __future__ import annotations

import random

import pytest
import torch
from fairseq.sequence_generator import SequenceGenerator
from torch.testing import assert_close

FAIRSEQ = {"search_patience": 1.0}


def stock(models, sample, prefix=None, **options):
    names = {"beam": "beam_size", "lenpen": "len_penalty", "unkpen": "unk_penalty"}
    arguments = {names.get(name, name): value for name, value in options.items()}
    arguments["normalize_scores"] = not arguments.pop("unnormalized", False)
    generator = SequenceGenerator(models, models[0].decoder.dictionary, **arguments)
    return generator.generate(models, sample, prefix_tokens=prefix)


def draw_options(rng: random.Random, source_length: int) -> dict:
    """Settings such that a hypothesis may be as long as ``min_len``."""
    max_len_a = rng.choice([0, 0.5, 1.0, 1.3])
    max_len_b = rng.choice([3, 8, 20])
    return {
        "beam": rng.randint(1, 6),
        "max_len_a": max_len_a,
        "max_len_b": max_len_b,
        "min_len": rng.choice([0, 1, 1, 3, int(max_len_a * source_length + max_len_b)]),
        "lenpen": rng.choice([1.0, 1.0, 0.0, 0.6, 1.7, -0.5]),
        "unkpen": rng.choice([0.0, 0.0, 2.0, -1.0]),
        "temperature": rng.choice([1.0, 1.0, 0.6, 2.0]),
        "unnormalized": rng.random() < 0.25,
    }


@pytest.mark.parametrize("seed", range(200))
def test_equals_stock_fairseq(build, batch, search, seed):
    rng = random.Random(seed)
    vocabulary, source_length = rng.randint(9, 40), rng.randint(1, 8)
    sizes = {"decoder_layers": rng.choice([1, 1, 2]), "decoder_hidden_size": rng.choice([8, 12])}
    peak, end = rng.choice([0.5, 1, 4]), rng.uniform(0, 6)
    models = [
        build(vocabulary, seed=100 * seed + i, peak=peak, end=end, **sizes) for i in range(rng.choice([1, 1, 1, 2]))
    ]
    # Equal lengths: stock's longest output would otherwise depend on the longest source of the batch.
    sample = batch([source_length] * rng.randint(1, 5), seed=seed)
    options = draw_options(rng, source_length)
    prefix = None
    if rng.random() < 0.35:
        prefix = torch.randint(3, vocabulary, (len(sample["id"]), rng.randint(1, 3)))

    ours, theirs = search(models, sample, prefix, **FAIRSEQ, **options), stock(models, sample, prefix, **options)
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert [h["tokens"].tolist() for h in mine] == [h["tokens"].tolist() for h in other]
        for hypothesis, expected in zip(mine, other, strict=True):
            assert float(hypothesis["score"]) == pytest.approx(float(expected["score"]), abs=1e-4)
            assert_close(hypothesis["positional_scores"], expected["positional_scores"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("beam", [2, 3, 4])
def test_equals_stock_where_all_is_close(build, batch, search, beam):
    """Nearly flat scores and an early </s>: every one of the 2K candidates matters."""
    for seed in range(15):
        model, sample = build(12, seed=seed, peak=0.3, end=1), batch([5] * 8, seed=seed)
        options = {"beam": beam, "min_len": 0, "max_len_b": 6, "lenpen": 1.5}
        ours, theirs = search(model, sample, **FAIRSEQ, **options), stock([model], sample, **options)
        for mine, other in zip(ours, theirs, strict=True):
            assert [h["tokens"].tolist() for h in mine] == [h["tokens"].tolist() for h in other]


def test_the_drawn_cases_are_varied(build, batch, search):
    """The comparison above is worth something: </s> ends some hypotheses early, the limit others."""
    lengths = []
    for seed in range(40):
        end = random.Random(seed).uniform(-1, 4)
        for hypotheses in search(build(15, seed=seed, end=end), batch([5, 5]), beam=4, max_len_b=12):
            lengths += [len(h["tokens"]) for h in hypotheses]
    assert len(set(lengths)) > 6
    assert max(lengths) == 13
    assert sum(length < 13 for length in lengths) > 20


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_attention_equals_stock(build, batch, search, kind):
    """Of one sentence; in a padded batch stock hands out columns of padding."""
    model, sample = build(20, seed=3, end=3), batch([6])
    (mine,) = search(model, sample, beam=3, max_len_b=12, print_alignment=kind, **FAIRSEQ)
    (other,) = stock([model], sample, beam=3, max_len_b=12)
    for hypothesis, expected in zip(mine, other, strict=True):
        assert hypothesis["tokens"].tolist() == expected["tokens"].tolist()
        assert_close(hypothesis["attention"], expected["attention"], rtol=0, atol=1e-5)
