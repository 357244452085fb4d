"""The search against brute force: every sequence scored by teacher forcing, the best kept."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.testing import assert_close

PAD, EOS, UNK = 1, 2, 3


def symbols(model) -> list[int]:
    """What a hypothesis may hold before its </s>."""
    return [index for index in range(len(model.decoder.dictionary)) if index not in (PAD, EOS)]


@torch.no_grad()
def positional(models, sample: dict, row: int, sequences: list[list[int]], temperature: float = 1.0) -> list:
    """log P of each symbol of each sequence (which ends with </s>), by one padded pass of teacher forcing."""
    length = int(sample["net_input"]["src_lengths"][row])
    source = sample["net_input"]["src_tokens"][row : row + 1, :length].expand(len(sequences), -1)
    lengths = torch.full((len(sequences),), length)
    width = max(map(len, sequences))
    target = torch.tensor([s + [PAD] * (width - len(s)) for s in sequences])
    previous = torch.cat((torch.full((len(sequences), 1), EOS), target[:, :-1]), 1)
    probability = torch.zeros(*target.shape)
    for model in models:
        model.eval()
        logits = model(source, lengths, previous)[0].double() / temperature
        probability = probability + logits.softmax(-1).gather(2, target.unsqueeze(2)).squeeze(2) / len(models)
    return [row[: len(s)].log() for row, s in zip(probability, sequences, strict=True)]


def every_sequence(model, shortest: int, longest: int) -> list[list[int]]:
    return [
        [*words, EOS]
        for length in range(shortest, longest + 1)
        for words in itertools.product(symbols(model), repeat=length)
    ]


def normalised(scores: torch.Tensor, lenpen: float = 1.0) -> float:
    return float(scores.sum()) / len(scores) ** lenpen


def repeats(words: list[int], size: int) -> bool:
    grams = [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]
    return len(set(grams)) < len(grams)


# ------------------------------------------------------------- exact search


@pytest.mark.parametrize("lenpen", [1.0, 0.0, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_is_exact(build, batch, search, seed, lenpen):
    """Nothing is pruned: every sequence comes back, in the right order, with the right score."""
    model, sample = build(6, seed=seed, peak=2), batch([3, 5], seed=seed)
    sequences = every_sequence(model, 1, 4)
    results = search(model, sample, beam=len(sequences), max_len_b=4, lenpen=lenpen)
    for row, hypotheses in enumerate(results):
        scores = positional([model], sample, row, sequences)
        expected = {tuple(s): normalised(p, lenpen) for s, p in zip(sequences, scores, strict=True)}
        found = {tuple(h["tokens"].tolist()): h["score"] for h in hypotheses}
        assert found.keys() == expected.keys()
        assert found == pytest.approx(expected, abs=1e-5)
        assert hypotheses[0]["score"] == pytest.approx(max(expected.values()), abs=1e-5)
        assert [h["score"] for h in hypotheses] == sorted((h["score"] for h in hypotheses), reverse=True)


def test_unknown_word_penalty_is_exact(build, batch, search):
    model, sample = build(6, seed=7, peak=2), batch([4])
    sequences = every_sequence(model, 1, 3)
    (hypotheses,) = search(model, sample, beam=len(sequences), max_len_b=3, unkpen=1.5)
    scores = positional([model], sample, 0, sequences)
    expected = {
        tuple(s): (float(p.sum()) - 1.5 * s.count(UNK)) / len(s) for s, p in zip(sequences, scores, strict=True)
    }
    assert {tuple(h["tokens"].tolist()): h["score"] for h in hypotheses} == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("seed", range(2))
def test_no_repeated_ngram_is_exact(build, batch, search, seed, size):
    model, sample = build(6, seed=seed, peak=2, end=-1), batch([3, 5], seed=seed)
    sequences = [s for s in every_sequence(model, 1, 4) if not repeats(s[:-1], size)]
    results = search(model, sample, beam=400, max_len_b=4, no_repeat_ngram_size=size)
    for row, hypotheses in enumerate(results):
        scores = positional([model], sample, row, sequences)
        expected = {tuple(s): normalised(p) for s, p in zip(sequences, scores, strict=True)}
        assert {tuple(h["tokens"].tolist()): h["score"] for h in hypotheses} == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("beam", [1, 4])
def test_never_repeats_an_ngram(build, batch, search, size, beam):
    """Models that love to repeat, far beyond what a wide beam can hold."""
    repeated = 0
    for seed in range(5):
        model, sample = build(16, seed=seed, end=-20), batch([3, 6, 2], seed=seed)
        free = search(model, sample, beam=beam, max_len_b=15)
        repeated += sum(repeats(h["tokens"].tolist()[:-1], size) for hypotheses in free for h in hypotheses)
        for hypotheses in search(model, sample, beam=beam, max_len_b=15, no_repeat_ngram_size=size):
            assert not any(repeats(h["tokens"].tolist()[:-1], size) for h in hypotheses)
    assert repeated > 10


# ------------------------------------------------------- scores of any beam


@pytest.mark.parametrize("seed", range(8))
def test_beam_one_is_greedy(build, batch, search, seed):
    model, sample = build(15, seed=seed, end=seed), batch([4, 7, 2], seed=seed)
    results = search(model, sample, beam=1, max_len_b=10, min_len=2)
    for row, (hypothesis,) in enumerate(results):
        length = sample["net_input"]["src_lengths"][row : row + 1]
        source = sample["net_input"]["src_tokens"][row : row + 1, : int(length)]
        written = [EOS]
        while len(written) == 1 or written[-1] != EOS:
            with torch.no_grad():
                scores = model(source, length, torch.tensor([written]))[0][0, -1]
            scores[PAD] = -torch.inf
            if len(written) <= 2:
                scores[EOS] = -torch.inf
            written.append(EOS if len(written) == 11 else int(scores.argmax()))
        assert hypothesis["tokens"].tolist() == written[1:]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lenpen": 0.3},
        {"unnormalized": True},
        {"temperature": 1.7},
        {"max_len_b": 3},
        {"no_repeat_ngram_size": 2},
        {"min_len": 6},
    ],
)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_score_is_the_probability_of_the_tokens(build, batch, search, options, count):
    """By teacher forcing; of several models their mean probability."""
    models = [build(17, seed=10 + i, end=3) for i in range(count)]
    sample = batch([4, 7, 2], seed=count)
    results = search(models, sample, beam=4, **({"max_len_b": 12} | options))
    for row, hypotheses in enumerate(results):
        sequences = [h["tokens"].tolist() for h in hypotheses]
        scores = positional(models, sample, row, sequences, options.get("temperature", 1.0))
        lenpen = 0.0 if options.get("unnormalized") else options.get("lenpen", 1.0)
        for hypothesis, expected in zip(hypotheses, scores, strict=True):
            assert_close(hypothesis["positional_scores"].double(), expected.double(), rtol=0, atol=1e-4)
            assert hypothesis["score"] == pytest.approx(normalised(expected, lenpen), abs=1e-4)
            total = float(hypothesis["positional_scores"].sum()) / len(expected) ** lenpen
            assert hypothesis["score"] == pytest.approx(total, abs=1e-5)


def test_two_equal_models_equal_one(build, batch, search):
    model, twin, sample = build(17, seed=4, end=3), build(17, seed=4, end=3), batch([4, 7, 2])
    one, two = (search(m, sample, beam=4, max_len_b=12, print_alignment="soft") for m in (model, [model, twin]))
    for mine, other in zip(one, two, strict=True):
        assert [h["tokens"].tolist() for h in mine] == [h["tokens"].tolist() for h in other]
        for a, b in zip(mine, other, strict=True):
            assert a["score"] == pytest.approx(b["score"], abs=1e-5)
            assert_close(a["attention"], b["attention"])


def test_two_different_models_are_averaged_exactly(build, batch, search):
    models, sample = [build(6, seed=i, peak=2) for i in (1, 2)], batch([4])
    sequences = every_sequence(models[0], 1, 4)
    (hypotheses,) = search(models, sample, beam=len(sequences), max_len_b=4)
    scores = positional(models, sample, 0, sequences)
    expected = {tuple(s): normalised(p) for s, p in zip(sequences, scores, strict=True)}
    assert {tuple(h["tokens"].tolist()): h["score"] for h in hypotheses} == pytest.approx(expected, abs=1e-5)


# ------------------------------------------------------------ our own options


def test_relative_minimum_length_is_exact(build, batch, search):
    """Half the source and one more: three symbols for a source of five, two for one of three."""
    model, sample = build(6, seed=3, peak=2), batch([3, 5])
    for row, (hypotheses, shortest) in enumerate(
        zip(search(model, sample, beam=700, max_len_b=4, min_len=1, min_len_a=0.5), (2, 3), strict=True)
    ):
        sequences = every_sequence(model, shortest, 4)
        scores = positional([model], sample, row, sequences)
        expected = {tuple(s): normalised(p) for s, p in zip(sequences, scores, strict=True)}
        assert {tuple(h["tokens"].tolist()): h["score"] for h in hypotheses} == pytest.approx(expected, abs=1e-5)


def test_repetition_penalty_is_exact(build, batch, search):
    model, sample = build(6, seed=5, peak=2), batch([4])
    sequences = every_sequence(model, 1, 4)
    (hypotheses,) = search(model, sample, beam=len(sequences), max_len_b=4, repetition_penalty=1.7)
    expected = {}
    for sequence, scores in zip(sequences, positional([model], sample, 0, sequences), strict=True):
        factors = [1.7 if symbol in sequence[:place] else 1.0 for place, symbol in enumerate(sequence)]
        expected[tuple(sequence)] = normalised(scores * torch.tensor(factors))
    assert {tuple(h["tokens"].tolist()): h["score"] for h in hypotheses} == pytest.approx(expected, abs=1e-5)


def test_length_and_coverage_penalties_of_wu_are_exact(build, batch, search):
    model, sample = build(6, seed=6, peak=2), batch([4])
    sequences = every_sequence(model, 1, 3)
    options = {"wu_length_penalty": True, "lenpen": 0.6, "coverage_penalty": 0.3}
    (hypotheses,) = search(model, sample, beam=len(sequences), max_len_b=3, **options)
    expected = {}
    for sequence, scores in zip(sequences, positional([model], sample, 0, sequences), strict=True):
        net_input = sample["net_input"]
        with torch.no_grad():
            _, besides = model(net_input["src_tokens"], net_input["src_lengths"], torch.tensor([[EOS, *sequence[:-1]]]))
        coverage = besides["attn"][0][0].sum(0).clamp(max=1).log().sum()
        expected[tuple(sequence)] = float(scores.sum()) / ((5 + len(sequence)) / 6) ** 0.6 + 0.3 * float(coverage)
    assert {tuple(h["tokens"].tolist()): h["score"] for h in hypotheses} == pytest.approx(expected, abs=1e-5)


def test_patience_finds_what_a_hasty_search_misses(build, batch, search):
    """Five short hypotheses end first, though a longer one is better: with patience the score is never worse."""
    better = 0
    for seed in range(20):
        model, sample = build(8, seed=seed, peak=2, end=2), batch([5, 3], seed=seed)
        hasty, patient = (
            search(model, sample, beam=3, max_len_b=12, lenpen=2.0, search_patience=p) for p in (1.0, 4.0)
        )
        for short, long in zip(hasty, patient, strict=True):
            assert len(long) <= 3
            assert long[0]["score"] >= short[0]["score"] - 1e-6
            better += long[0]["score"] > short[0]["score"] + 1e-6
    assert better > 0


@pytest.mark.parametrize("model", ["pointer", "coverage"])
def test_models_that_copy_and_remember_are_searched_exactly(build, batch, search, model):
    options = {"pointer": {"pointer": True}, "coverage": {"coverage": "sum", "pointer": True}}[model]
    model, sample = build(6, seed=8, peak=2, **options), batch([3, 5], seed=8)
    sequences = every_sequence(model, 1, 3)
    for row, hypotheses in enumerate(search(model, sample, beam=len(sequences), max_len_b=3)):
        scores = positional([model], sample, row, sequences)
        expected = {tuple(s): normalised(p) for s, p in zip(sequences, scores, strict=True)}
        assert {tuple(h["tokens"].tolist()): h["score"] for h in hypotheses} == pytest.approx(expected, abs=1e-4)
