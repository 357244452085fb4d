"""Vocabulary selection: learned from pairs, and a search restricted to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from s2s_plugin.errors import UserError
from s2s_plugin.search.beam import BeamSearch
from s2s_plugin.search.build import build_search
from s2s_plugin.search.options import BeamOptions
from s2s_plugin.search.precision import PRECISIONS
from s2s_plugin.search.shortlist import FREQUENT, Shortlist, miss_rate, train_ibm1
from s2s_plugin.tasks.seq2seq import Seq2SeqTask, Seq2SeqTaskConfig
from tests.search.conftest import alone, dictionary_of

VOCABULARY = 400


def translations(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each source id s becomes 200 + s, in another order, with a word that is everywhere."""
    draw = np.random.default_rng(1)
    pairs = []
    for _ in range(count):
        source = draw.integers(10, 190, draw.integers(2, 9))
        pairs.append((np.append(source, 2), np.concatenate((draw.permutation(source + 200), [399, 2]))))
    return pairs


def test_ibm_model_1_finds_the_translations():
    shortlist = train_ibm1(translations(2000), (200, VOCABULARY))
    assert torch.equal(shortlist.candidates[10:190, 0], torch.arange(210, 390))
    assert 399 in shortlist.candidates[0]


def test_rounds_equal_a_computation_by_hand():
    """Two sentences, x y / a b and x / a; the likeliest a of each x after two rounds."""
    pairs = [(np.array([4, 5]), np.array([6, 7])), (np.array([4]), np.array([6]))]
    table: dict[tuple[int, int], float] = {}
    for _ in range(2):
        counts: dict[tuple[int, int], float] = {}
        for source, target in pairs:
            for y in target.tolist():
                made = {x: table.get((x, y), 1.0) for x in [*source.tolist(), 0]}
                for x, share in made.items():
                    counts[x, y] = counts.get((x, y), 0) + share / sum(made.values())
        of = {x: sum(n for (other, _), n in counts.items() if other == x) for x, _ in counts}
        table = {(x, y): n / of[x] for (x, y), n in counts.items()}
    shortlist = train_ibm1(pairs, (8, 8), rounds=2)
    for x in (0, 4, 5):
        best = max((y for other, y in table if other == x), key=lambda y: table[x, y])
        assert shortlist.candidates[x, 0] == best


def test_file_and_miss_rate(tmp_path: Path):
    train_ibm1(translations(500), (200, VOCABULARY)).save(tmp_path / "shortlist.pt")
    shortlist = Shortlist.load(tmp_path / "shortlist.pt", 3)
    held_out = [
        (torch.tensor([10, 50, 2]), torch.tensor([250, 210, 399, 2])),
        (torch.tensor([11, 2]), torch.tensor([300])),
    ]
    missed, size = miss_rate(shortlist, held_out)
    assert missed == pytest.approx(1 / 5)
    assert FREQUENT < size < FREQUENT + 20
    with pytest.raises(UserError, match="no such"):
        Shortlist.load(tmp_path / "none.pt", 3)


def everything() -> Shortlist:
    return Shortlist(torch.arange(VOCABULARY).expand(14, -1), VOCABULARY, VOCABULARY)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ({"ctc": True}, {"ctc_search_weight": 0.4}),
        ({}, {"constraints": "ordered"}),
        ({"pointer": True}, {}),
    ],
)
def test_refusals(build, model: dict, options: dict):
    model = build(VOCABULARY, **model)
    with pytest.raises(UserError, match=r"task\.shortlist"):
        build_search([model], model.decoder.dictionary, BeamOptions(**options), "fp32", everything())


def test_it_lies_in_the_first_of_several_folders(tmp_path: Path):
    """Like everything else that the task reads."""
    train_ibm1(translations(50), (200, VOCABULARY)).save(tmp_path / "shortlist.src-tgt.pt")
    several = Seq2SeqTaskConfig(data=f"{tmp_path}:{tmp_path}/2", source_lang="src", target_lang="tgt", shortlist=3)
    found = Seq2SeqTask(several, dictionary_of(200), dictionary_of(VOCABULARY)).loader.shortlist()
    assert found is not None and found.candidates.shape == (200, 3)


@pytest.mark.parametrize("precision", [None, *PRECISIONS])
def test_a_list_of_everything_changes_nothing(build, batch, precision):
    model, sample = build(VOCABULARY, seed=3, peak=1), batch([4, 9, 2, 7])
    options, dictionary = BeamOptions(beam=3, max_len_b=8, no_repeat_ngram_size=2), model.decoder.dictionary
    if precision is None:
        plain, listed = (BeamSearch([model], dictionary, options, shortlist=each) for each in (None, everything()))
    else:
        plain, listed = (build_search([model], dictionary, options, precision, each) for each in (None, everything()))
    plain, listed = (each.generate([model], sample) for each in (plain, listed))
    for mine, other in zip(listed, plain, strict=True):
        assert [h["tokens"].tolist() for h in mine] == [h["tokens"].tolist() for h in other]
        assert mine[0]["score"] == pytest.approx(other[0]["score"], abs=1e-4)


def test_each_sentence_keeps_to_its_own_list_whatever_its_batch(build, batch):
    """And what a prefix forces is allowed, though no list has it."""
    model, sample = build(VOCABULARY, seed=3, peak=1, end=-2), batch([4, 9, 2, 7])
    torch.manual_seed(1)
    shortlist = Shortlist(torch.randint(200, VOCABULARY - 1, (14, 5)), 5, VOCABULARY)
    prefix = torch.full((4, 1), VOCABULARY - 1)
    search = build_search([model], model.decoder.dictionary, BeamOptions(beam=3, max_len_b=8), "fp32", shortlist)
    together = search.generate([model], sample, prefix_tokens=prefix)
    for row in range(4):
        single = alone(sample, row)
        (hypotheses,) = search.generate([model], single, prefix_tokens=prefix[:1])
        assert [h["tokens"].tolist() for h in hypotheses] == [h["tokens"].tolist() for h in together[row]]
        allowed = shortlist.allowed(single["net_input"]["src_tokens"])[0]
        for hypothesis in hypotheses:
            first, *rest = hypothesis["tokens"].tolist()
            assert first == VOCABULARY - 1 and allowed[rest].all()
