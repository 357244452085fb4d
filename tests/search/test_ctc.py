"""CTC prefix scores against the sum over all texts that begin so, and the search with them."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from s2s_plugin.search.ctc import CTCPrefixes

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
    prefixes = CTCPrefixes(logits, padding_mask, beam, BLANK, EOS)
    written: list[list[list[int]]] = [[[], []], [[], []]]
    last = torch.full((2, beam), EOS)
    candidates = torch.tensor([*SYMBOLS, EOS]).expand(2, beam, -1)
    plan = [([0, 0], [0, 1]), ([1, 0], [1, 0]), ([1, 1], [1, 2])]  # parents and candidates, at each step
    for parents, choices in plan:
        gain, total, ending = prefixes.extend(last, candidates)
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
        parent, choice = torch.tensor([parents, parents]), torch.tensor([choices, choices])
        prefixes.follow(total, ending, parent, choice)
        written = [[row[p] + [SYMBOLS[c]] for p, c in zip(parents, choices, strict=True)] for row in written]
        last = torch.tensor([[hypothesis[-1] for hypothesis in row] for row in written])


def test_sentences_that_are_done_leave():
    torch.manual_seed(0)
    logits, mask = torch.randn(3, 4, 5), torch.zeros(3, 4, dtype=torch.bool)
    candidates = torch.tensor([2, 3, 4]).expand(3, 2, -1)
    every, some = CTCPrefixes(logits, mask, 2, BLANK, EOS), CTCPrefixes(logits, mask, 2, BLANK, EOS)
    some.keep(torch.tensor([0, 2]))
    last = torch.full((3, 2), EOS)
    expected = every.extend(last, candidates)[0][[0, 2]]
    assert some.extend(last[:2], candidates[:2])[0] == pytest.approx(expected)
