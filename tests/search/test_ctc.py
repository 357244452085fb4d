"""CTC prefix scores against the sum over all texts that begin so, and the search with them against brute force."""

from __future__ import annotations

import itertools
import math
from contextvars import copy_context

import pytest
import torch
from torch.nn import functional as F

from s2s_plugin.package.observers import Recorder
from s2s_plugin.search.ctc import CTCPrefixes
from s2s_plugin.search.options import BeamOptions
from s2s_plugin.search.state import OBSERVER

BLANK, EOS = 0, 1
SYMBOLS = (2, 3, 4)


def by_all_paths(logits: torch.Tensor, begin: list[int], whole: bool) -> float:
    """log P of the texts that begin with ``begin``, or that are ``begin``, summed over every path."""
    steps = logits.log_softmax(-1).double()
    total = 0.0
    for path in itertools.product(range(steps.size(1)), repeat=len(steps)):
        spelt = [symbol for symbol, _ in itertools.groupby(path) if symbol != BLANK]
        if spelt == begin if whole else spelt[: len(begin)] == begin:
            total += math.exp(sum(steps[t, symbol].item() for t, symbol in enumerate(path)))
    return math.log(total) if total else -math.inf


@pytest.mark.parametrize("length", [3, 5])
def test_prefix_scores_are_sums_over_all_paths(length):
    torch.manual_seed(length)
    logits = torch.randn(2, 5, 5)
    padding_mask = torch.tensor([[False] * 5, [step >= length for step in range(5)]])
    beam = 2
    prefixes = CTCPrefixes(logits, padding_mask, beam, BLANK, EOS, BeamOptions())
    written: list[list[list[int]]] = [[[], []], [[], []]]
    last = torch.full((2, beam), EOS)
    candidates = torch.tensor([*SYMBOLS, EOS]).expand(2, beam, -1)
    plan = [([0, 0], [0, 1]), ([1, 0], [1, 0]), ([1, 1], [1, 2])]  # parents and candidates, at each step
    for parents, choices in plan:
        gain = prefixes.extend(last, candidates)
        total = prefixes.extended[1]
        for sentence, hypothesis in itertools.product(range(2), range(beam)):
            used = logits[sentence, : length if sentence else 5]
            before = by_all_paths(used, written[sentence][hypothesis], whole=False)
            for number, symbol in enumerate(candidates[0, 0].tolist()):
                begin = written[sentence][hypothesis] + ([] if symbol == EOS else [symbol])
                expected = by_all_paths(used, begin, whole=symbol == EOS)
                found = total[sentence, hypothesis, number].item()
                assert found == pytest.approx(expected, abs=1e-4) or (found == expected == -math.inf)
                if math.isfinite(before) and math.isfinite(expected):
                    assert gain[sentence, hypothesis, number].item() == pytest.approx(expected - before, abs=1e-4)
        token = candidates[0, 0][torch.tensor([choices, choices])]
        prefixes.advance(torch.tensor([parents, parents]), token)
        written = [[row[p] + [SYMBOLS[c]] for p, c in zip(parents, choices, strict=True)] for row in written]
        last = torch.tensor([[hypothesis[-1] for hypothesis in row] for row in written])


def test_sentences_that_are_done_leave():
    torch.manual_seed(0)
    logits, mask = torch.randn(3, 4, 5), torch.zeros(3, 4, dtype=torch.bool)
    candidates = torch.tensor([2, 3, 4]).expand(3, 2, -1)
    every, some = (CTCPrefixes(logits, mask, 2, BLANK, EOS, BeamOptions()) for _ in range(2))
    some.keep(torch.tensor([0, 2]))
    last = torch.full((3, 2), EOS)
    expected = every.extend(last, candidates)[[0, 2]]
    assert some.extend(last[:2], candidates[:2]) == pytest.approx(expected)


@torch.no_grad()
def joint_score(model, source: torch.Tensor, words: list[int], weight: float) -> float:
    """((1 - w) log P(Y|X) + w log P_CTC(Y|X)) / |Y|, by teacher forcing and torch's CTC."""
    eos, blank = model.decoder.dictionary.eos(), model.decoder.dictionary.bos()
    lengths, target = torch.tensor([source.size(1)]), torch.tensor([[*words, eos]])
    logits, besides = model(source, lengths, torch.tensor([[eos, *words]]))
    spoken = logits.double().log_softmax(-1).gather(2, target.unsqueeze(2)).sum()
    steps = besides["ctc"].double().log_softmax(-1).transpose(0, 1)
    spelt = -F.ctc_loss(steps, target[:, :-1], lengths, torch.tensor([len(words)]), blank, reduction="sum")
    return float((1 - weight) * spoken + weight * spelt) / (len(words) + 1)


@pytest.mark.parametrize("weight", [0.3, 0.8])
def test_a_wide_search_with_ctc_is_exact(build, batch, search, weight):
    """Every text that CTC can spell comes back with the joint score, in a batch with padding."""
    model, sample = build(6, seed=3, peak=2, ctc=True), batch([3, 6], seed=3)
    symbols = [index for index in range(6) if index not in (0, 1, 2)]  # blank, padding, </s>
    texts = [list(words) for length in (1, 2, 3) for words in itertools.product(symbols, repeat=length)]
    results = search(model, sample, beam=2 * len(texts), max_len_b=3, ctc_search_weight=weight)
    for row, (hypotheses, length) in enumerate(zip(results, (3, 6), strict=True)):
        source = sample["net_input"]["src_tokens"][row : row + 1, :length]
        expected = {tuple(words): joint_score(model, source, words, weight) for words in texts}
        found = {tuple(h["tokens"].tolist()[:-1]): h["score"] for h in hypotheses}
        assert found == pytest.approx(
            {words: score for words, score in expected.items() if math.isfinite(score)}, abs=1e-4
        )
    assert len(results[0]) < len(texts) == len(results[1]), "three steps cannot spell a repetition of three symbols"


def test_recorded_alternatives_have_its_share(build, batch, search):
    """They have the probabilities of the outputs, and recording changes none of these."""
    model, sample = build(9, seed=3, peak=2, ctc=True), batch([6], seed=3)
    dictionary, options = model.decoder.dictionary, {"beam": 4, "max_len_b": 4, "ctc_search_weight": 0.4}
    recorder, context = Recorder(dictionary, 8), copy_context()
    context.run(OBSERVER.set, recorder)
    (recorded,), (plain,) = context.run(search, model, sample, **options), search(model, sample, **options)
    assert [each["score"] for each in recorded] == [each["score"] for each in plain]
    for hypothesis in recorded:
        tokens = [dictionary[index] for index in hypothesis["tokens"].tolist()]
        probabilities = hypothesis["positional_scores"].exp().tolist()
        for token, probability, likeliest in zip(tokens, probabilities, recorder.alternatives(tokens), strict=True):
            known = {each.token: each.probability for each in likeliest}
            assert known[token] == pytest.approx(probability, abs=1e-5) and 0 < sum(known.values()) < 1 + 1e-5
