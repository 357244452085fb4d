"""When a search ends: not before the greedy hypothesis, nor while another is better than the best finished one."""

from __future__ import annotations

import pytest
import torch

from s2s_plugin.errors import UserError
from s2s_plugin.search.options import BeamOptions
from s2s_plugin.tasks.checkpoint import load_model
from tests.search.conftest import alone, next_scores

PAD, EOS = 1, 2


def by_the_rule(model, sample: dict, beam: int, lenpen: float, longest: int, to_the_end: bool = False) -> list[tuple]:
    """Scores and tokens of one sentence, best first, by the rule as it reads."""
    living: list[tuple[float, list[int]]] = [(0.0, [])]
    finished, greedy_ended = [], False
    for step in range(longest + 1):
        candidates = []
        for total, written in living:
            for token, score in enumerate(next_scores(model, sample, written).tolist()):
                if token == EOS if step == longest else token != PAD and (step or token != EOS):
                    candidates.append((total + score, [*written, token]))
        candidates.sort(reverse=True)
        first = next(candidate for candidate in candidates if candidate[1][:-1] == living[0][1])
        candidates.remove(first)
        candidates.insert(0, first)
        greedy_ended = greedy_ended or first[1][-1] == EOS
        ends = [(total, written) for total, written in candidates[:beam] if written[-1] == EOS]
        finished += [(total / (step + 1) ** lenpen, written) for total, written in ends]
        living = [(total, written) for total, written in candidates if written[-1] != EOS][:beam]
        so_far = max([total / (step + 1) ** lenpen for total, _ in living], default=-torch.inf)
        if len(finished) >= beam and greedy_ended and not to_the_end and so_far <= max(finished)[0]:
            break
    return sorted(finished, reverse=True)[:beam]


@pytest.mark.parametrize("lenpen", [1.0, 0.0, 0.6, -0.5])
@pytest.mark.parametrize("beam", [2, 4])
def test_equals_the_rule_as_it_reads(build, batch, search, beam, lenpen):
    for seed in range(4):
        model, sample = build(9, seed=seed, peak=2, end=2), batch([5, 3], seed=seed)
        for row, hypotheses in enumerate(search(model, sample, beam=beam, max_len_b=7, lenpen=lenpen)):
            expected = by_the_rule(model, alone(sample, row), beam, lenpen, longest=7)
            assert [h["tokens"].tolist() for h in hypotheses] == [tokens for _, tokens in expected]
            assert [h["score"] for h in hypotheses] == pytest.approx([score for score, _ in expected], abs=1e-4)


@pytest.mark.parametrize("lenpen", [0.0, -0.5])
def test_without_a_reward_for_length_nothing_can_overtake_later(build, batch, search, lenpen):
    for seed in range(4):
        model, sample = build(9, seed=seed, peak=2, end=1), batch([5], seed=seed)
        (hypotheses,) = search(model, sample, beam=3, max_len_b=9, lenpen=lenpen)
        best, _ = by_the_rule(model, sample, 3, lenpen, longest=9, to_the_end=True)[0]
        assert hypotheses[0]["score"] == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lenpen": 0.0},
        {"lenpen": 2.0},
        {"lenpen": -0.5},
        {"unnormalized": True},
        {"wu_length_penalty": True, "lenpen": 0.6},
        {"coverage_penalty": 0.3},
        {"no_repeat_ngram_size": 1},
        {"repetition_penalty": 1.5, "unkpen": 2.0, "min_len": 3},
        {"temperature": 2.0, "max_len_a": 0.5, "max_len_b": 4},
        {"diverse_beam_groups": 2, "diverse_beam_strength": 2.0},
    ],
    ids=str,
)
def test_no_output_scores_lower_than_the_greedy_one(build, batch, search, options):
    options = {"max_len_b": 20} | options
    greedy_options = {name: value for name, value in options.items() if not name.startswith("diverse")}
    for seed in range(12):
        model, sample = build(10, seed=seed, peak=1 + seed % 3, end=seed % 4), batch([7, 4, 9, 2], seed=seed)
        greedy = [hypotheses[0]["score"] for hypotheses in search(model, sample, beam=1, **greedy_options)]
        for beam in (2, 4):
            for hypotheses, score in zip(search(model, sample, beam=beam, **options), greedy, strict=True):
                assert hypotheses[0]["score"] >= score - 1e-5
                assert len(hypotheses) <= beam


def test_an_ensemble_with_a_prefix_scores_no_lower_than_greedy(build, batch, search):
    for seed in range(6):
        models, sample = [build(10, seed=seed + i, peak=2, end=2) for i in (0, 50)], batch([7, 4, 9], seed=seed)
        prefix = torch.tensor([[5, 6, PAD], [7, PAD, PAD], [8, 8, 5]])
        greedy, found = (search(models, sample, prefix, beam=beam, max_len_b=15) for beam in (1, 3))
        for one, several in zip(greedy, found, strict=True):
            assert several[0]["score"] >= one[0]["score"] - 1e-5


def test_a_greedy_hypothesis_without_a_continuation_holds_nothing_up(build, batch, search):
    """Each token may come once, and </s> not before ten: greedy is stuck, and the others are too."""
    for hypotheses in search(build(8, end=-3), batch([5, 3]), beam=3, no_repeat_ngram_size=1, min_len=9, max_len_b=12):
        assert hypotheses
        assert all(h["tokens"][-1] == EOS for h in hypotheses)


def test_reversed_letters_survive_a_beam(trained):
    """Of a model for which </s> is often the second choice: K outputs that are too short end fairseq's search."""
    model, _, task = load_model(trained)
    model.decoder.generator.output.bias.data[EOS] += 2
    task.load_dataset("train")
    dataset = task.dataset("train")
    sample = dataset.collater([dataset[i] for i in range(300)])

    def exact(beam: int) -> int:
        found = task.build_generator([model], BeamOptions(beam=beam)).generate([model], sample)
        target = [row[row != PAD].tolist() for row in sample["target"]]
        return sum(hypotheses[0]["tokens"].tolist() == row for hypotheses, row in zip(found, target, strict=True))

    greedy = exact(1)
    assert greedy > 200
    assert min(exact(2), exact(5)) >= greedy
    task.cfg.search_patience = 1.0
    assert exact(2) < greedy / 2


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_refuses_a_patience_that_makes_no_sense(value):
    with pytest.raises(UserError, match=rf"task\.search_patience must be positive, got {value}"):
        BeamOptions(search_patience=value)
