"""Diverse beam search against the algorithm of its paper, written out for one sentence."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from fairseq import search as fairseq_search
from fairseq.sequence_generator import SequenceGenerator

from s2s_plugin.errors import UserError
from s2s_plugin.search.options import BeamOptions
from s2s_plugin.search.state import SYNC_INTERVAL
from tests.search.conftest import alone, next_scores

PAD, EOS = 1, 2


def by_the_paper(model, sample: dict, beam: int, groups: int, strength: float, longest: int) -> list[set[tuple]]:
    """What each group ends with."""
    size = beam // groups
    going: list[list[tuple[float, list[int]]]] = [[(0.0, [])] for _ in range(groups)]
    ended: list[set[tuple]] = [set() for _ in range(groups)]
    known: dict[tuple, list[float]] = {}
    for step in range(longest + 1):
        chosen: Counter[int] = Counter()
        for group in range(groups):
            if len(ended[group]) == size:
                continue
            candidates = []
            for total, written in going[group]:
                if tuple(written) not in known:
                    known[tuple(written)] = next_scores(model, sample, written).tolist()
                for symbol, score in enumerate(known[tuple(written)]):
                    allowed = symbol == EOS if step == longest else symbol != PAD and (step or symbol != EOS)
                    if allowed:
                        rank = total + score - strength * chosen[symbol]
                        candidates.append((rank, total + score, [*written, symbol]))
            candidates = sorted(candidates, key=lambda each: -each[0])[: 2 * size]
            for _, _, written in candidates[:size]:
                chosen[written[-1]] += 1
                if written[-1] == EOS and len(ended[group]) < size:
                    ended[group].add(tuple(written))
            going[group] = [(total, written) for _, total, written in candidates if written[-1] != EOS][:size]
    return ended


@pytest.mark.parametrize(("beam", "groups"), [(4, 2), (6, 3), (3, 3)])
@pytest.mark.parametrize("strength", [0.5, 3.0])
def test_equals_the_paper(build, batch, search, beam, groups, strength):
    for seed in range(2):
        model, sample = build(12, seed=seed, peak=1.5, end=2), batch([4, 7], seed=seed)
        options = {"beam": beam, "diverse_beam_groups": groups, "diverse_beam_strength": strength, "max_len_b": 4}
        options["search_patience"] = 1.0  # a group ends with its number of hypotheses
        for row, hypotheses in enumerate(search(model, sample, **options)):
            expected = by_the_paper(model, alone(sample, row), beam, groups, strength, 4)
            assert {tuple(h["tokens"].tolist()) for h in hypotheses} == set().union(*expected)
            assert len({tuple(h["tokens"].tolist()) for h in hypotheses}) == len(hypotheses)


def test_one_group_is_the_plain_search(build, batch, search):
    model, sample = build(12, seed=1, end=2), batch([4, 7, 2])
    plain = search(model, sample, beam=4, max_len_b=8)
    grouped = search(model, sample, beam=4, max_len_b=8, diverse_beam_groups=1)
    assert [[h["tokens"].tolist() for h in found] for found in plain] == [
        [h["tokens"].tolist() for h in found] for found in grouped
    ]


def test_groups_of_one_begin_differently_and_scores_stay_log_probabilities(build, batch, search):
    model, sample = build(15, seed=3, end=-3), batch([4, 7, 2])
    options = {"beam": 4, "diverse_beam_groups": 4, "diverse_beam_strength": 100.0, "max_len_b": 5}
    for row, hypotheses in enumerate(search(model, sample, **options)):
        assert len({int(h["tokens"][0]) for h in hypotheses}) == 4
        for h in hypotheses:
            tokens = h["tokens"].tolist()
            scores = [float(next_scores(model, alone(sample, row), tokens[:t])[tokens[t]]) for t in range(len(tokens))]
            assert h["positional_scores"].tolist() == pytest.approx(scores, abs=1e-4)
            assert h["score"] == pytest.approx(sum(scores) / len(scores), abs=1e-4)


def test_does_not_depend_on_the_batch(build, batch, search):
    model, sample = build(14, seed=5, end=1), batch([4, 9, 1, 7])
    options = {"beam": 6, "diverse_beam_groups": 3, "max_len_a": 1.0, "max_len_b": 2, "print_alignment": "hard"}
    for row, together in enumerate(search(model, sample, **options)):
        (found,) = search(model, alone(sample, row), **options)
        assert [(h["tokens"].tolist(), h["alignment"]) for h in found] == [
            (h["tokens"].tolist(), h["alignment"]) for h in together
        ]


def test_a_group_that_is_done_has_no_say(build, batch, search, monkeypatch):
    """Also where it stays in the batch for a while, as on a GPU."""
    for seed in range(4):
        model, sample = build(12, seed=seed, peak=1.5, end=2), batch([4, 7, 2], seed=seed)
        options = {"beam": 4, "diverse_beam_groups": 2, "diverse_beam_strength": 3.0, "max_len_b": 8}
        expected = search(model, sample, **options)
        with monkeypatch.context() as patch:
            patch.setitem(SYNC_INTERVAL, "cpu", 8)
            found = search(model, sample, **options)
        for mine, other in zip(found, expected, strict=True):
            assert [h["tokens"].tolist() for h in mine] == [h["tokens"].tolist() for h in other]


def test_fairseqs_own_groups_fail_beyond_the_first_batch(build, batch):
    """It takes an item's number in the corpus for its place in the batch: no use in fairseq-generate."""
    model, sample = build(12, seed=1), batch([4, 7]) | {"id": torch.tensor([8, 9])}
    dictionary = model.decoder.dictionary
    groups = fairseq_search.DiverseBeamSearch(dictionary, 2, 0.5)
    generator = SequenceGenerator([model], dictionary, beam_size=4, max_len_b=8, search_strategy=groups)
    with pytest.raises(IndexError):
        generator.generate([model], sample)


def test_refuses_what_does_not_divide():
    with pytest.raises(UserError, match="groups"):
        BeamOptions(beam=5, diverse_beam_groups=2)
    with pytest.raises(UserError, match="diverse_beam_groups"):
        BeamOptions(diverse_beam_strength=2.0)
    with pytest.raises(UserError, match="mutually exclusive"):
        BeamOptions(beam=4, diverse_beam_groups=2, sampling=True)
