"""Lexical constraints against every sequence that holds them."""

from __future__ import annotations

import itertools
import random

import pytest
import torch
from fairseq import search as fairseq_search
from fairseq.sequence_generator import SequenceGenerator
from fairseq.token_generation_constraints import pack_constraints

from s2s_plugin.errors import UserError
from s2s_plugin.search.constraints import NO_TOKEN, LexicalConstraints, failure_function
from s2s_plugin.search.options import BeamOptions
from tests.search.conftest import alone, next_scores

EOS = 2


def packed(sentences: list[list[list[int]]]) -> torch.Tensor:
    return pack_constraints([[torch.tensor(words) for words in sentence] for sentence in sentences])


def count(tokens: list[int], words: list[int]) -> int:
    """Occurrences that do not overlap."""
    found = place = 0
    while place + len(words) <= len(tokens):
        here = tokens[place : place + len(words)] == words
        found, place = found + here, place + (len(words) if here else 1)
    return found


def in_order(tokens: list[int], sentence: list[list[int]]) -> bool:
    """Whether the sequences can be laid into the tokens one after the other."""
    if not sentence:
        return True
    return any(
        tokens[at : at + len(sentence[0])] == sentence[0] and in_order(tokens[at + len(sentence[0]) :], sentence[1:])
        for at in range(len(tokens))
    )


def satisfied(tokens: list[int], sentence: list[list[int]], kind: str) -> bool:
    if kind == "ordered":
        return in_order(tokens, sentence)
    return all(count(tokens, words) >= sentence.count(words) for words in sentence)


@pytest.mark.parametrize("kind", ["ordered", "unordered"])
@pytest.mark.parametrize("sentence", [[[4]], [[4, 5]], [[5], [4]], [[4], [4]], [[4, 4], [5]], [[3], [4, 5]]])
def test_a_wide_beam_finds_all_that_hold_them_and_nothing_else(build, batch, search, sentence, kind):
    model, sample = build(6, seed=3, peak=2), batch([4])
    every = [[*words, EOS] for length in (1, 2, 3) for words in itertools.product((0, 3, 4, 5), repeat=length)]
    (hypotheses,) = search(model, sample, None, packed([sentence]), beam=len(every), max_len_b=3, constraints=kind)
    found = {tuple(h["tokens"].tolist()): h["score"] for h in hypotheses}
    assert found.keys() == {tuple(tokens) for tokens in every if satisfied(tokens, sentence, kind)}
    for tokens, score in itertools.islice(found.items(), 5):
        scores = [float(next_scores(model, sample, list(tokens[:t]))[tokens[t]]) for t in range(len(tokens))]
        assert score == pytest.approx(sum(scores) / len(scores), abs=1e-4)


@pytest.mark.parametrize("kind", ["ordered", "unordered"])
@pytest.mark.parametrize("beam", [1, 2, 5])
def test_each_constraint_appears_in_each_hypothesis(build, batch, search, beam, kind):
    draw = random.Random(beam)
    for seed in range(2):
        model, sample = build(14, seed=seed, peak=4, end=2), batch([4, 9, 1, 7], seed=seed)
        sentences = [[[draw.randint(3, 13) for _ in range(draw.randint(1, 3))] for _ in range(n)] for n in (2, 0, 1, 3)]
        options = {"beam": beam, "max_len_b": 16, "constraints": kind}
        results = search(model, sample, None, packed(sentences), **options)
        plain = search(model, sample, beam=beam, max_len_b=16, search_patience=1.0)  # which constraints imply
        assert [h["tokens"].tolist() for h in results[1]] == [h["tokens"].tolist() for h in plain[1]]
        for row, (hypotheses, sentence) in enumerate(zip(results, sentences, strict=True)):
            assert 1 <= len(hypotheses) <= beam
            assert all(satisfied(h["tokens"].tolist(), sentence, kind) for h in hypotheses)
            (found,) = search(model, alone(sample, row), None, packed([sentence]), **options)
            assert [h["tokens"].tolist() for h in found] == [h["tokens"].tolist() for h in hypotheses]


@pytest.mark.parametrize("kind", ["ordered", "unordered"])
def test_finds_no_worse_than_fairseqs_own(build, batch, search, kind):
    """By the mean score of the best hypotheses; single ones differ, for the banks are not counted alike."""
    draw, ours, theirs = random.Random(1), list[float](), list[float]()
    for seed in range(10):
        model, sample = build(30, seed=seed, peak=2, end=4), batch([6, 4, 5], seed=seed)
        sentences = [[[draw.randint(4, 29) for _ in range(draw.randint(1, 2))] for _ in range(n)] for n in (1, 2, 2)]
        found = search(model, sample, None, packed(sentences), beam=5, max_len_b=25, constraints=kind)
        dictionary = model.decoder.dictionary
        strategy = fairseq_search.LexicallyConstrainedBeamSearch(dictionary, kind)
        stock = SequenceGenerator([model], dictionary, beam_size=5, max_len_b=25, search_strategy=strategy)
        ours += [hypotheses[0]["score"] for hypotheses in found]
        theirs += [float(each[0]["score"]) for each in stock.generate([model], sample, constraints=packed(sentences))]
    assert sum(ours) / len(ours) >= sum(theirs) / len(theirs) - 0.02


def test_where_they_do_not_fit_the_sentence_ends_all_the_same(build, batch, search):
    model, sample = build(14, seed=1), batch([4])
    (hypotheses,) = search(model, sample, None, packed([[[5, 6, 7, 8]]]), beam=3, max_len_b=2, constraints="unordered")
    assert hypotheses and all(len(h["tokens"]) <= 3 for h in hypotheses)


def test_progress_is_that_of_a_search_for_substrings():
    draw = random.Random(2)
    for _ in range(300):
        kind = draw.choice(["ordered", "unordered"])
        sentence = [[draw.randint(4, 5) for _ in range(draw.randint(1, 3))] for _ in range(draw.randint(1, 3))]
        tokens = [draw.randint(4, 6) for _ in range(draw.randint(1, 9))]
        constraints = LexicalConstraints(packed([sentence]), kind == "ordered", 1, NO_TOKEN)
        for token in tokens:
            constraints.advance(torch.zeros(1, 1, dtype=torch.long), torch.tensor([[token]]))
        met = torch.equal(constraints.progress[0, 0], constraints.lengths[0])
        assert met == satisfied(tokens, sentence, kind)


def test_failure_function():
    assert failure_function([4, 4, 5, 4, 4, 4]) == [0, 0, 1, 0, 1, 2]


def test_refuses_constraints_that_are_not_there(build, batch, search):
    with pytest.raises(UserError, match="after a tab"):
        search(build(), batch([4]), beam=2, constraints="ordered")
    with pytest.raises(UserError, match="after a tab"):
        search(build(), batch([4]), None, packed([[[4]]]), beam=2)
    with pytest.raises(UserError, match="ctc"):
        BeamOptions(constraints="ordered", ctc_search_weight=0.3)
