"""What every search must hold, whatever the model: batches, prefixes, limits, dead ends."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
import torch
from fairseq.dataclass.configs import GenerationConfig
from torch.testing import assert_close

from s2s_plugin.errors import UserError
from s2s_plugin.search.beam import BeamSearch
from s2s_plugin.search.options import BeamOptions
from s2s_plugin.search.state import SYNC_INTERVAL
from s2s_plugin.tasks.seq2seq import Seq2SeqTaskConfig
from tests.search.conftest import alone

PAD, EOS, UNK = 1, 2, 3


def tokens_of(hypotheses: list[dict]) -> list[list[int]]:
    return [h["tokens"].tolist() for h in hypotheses]


def widened(sample: dict) -> dict:
    """The batch with five more columns of padding."""
    tokens = torch.nn.functional.pad(sample["net_input"]["src_tokens"], (0, 5), value=PAD)
    return {"net_input": sample["net_input"] | {"src_tokens": tokens}}


# ------------------------------------------------------------------ batches


@pytest.mark.parametrize(
    "options",
    [
        {"beam": 1},
        {"beam": 5},
        {"beam": 4, "max_len_a": 0.7, "max_len_b": 1},
        {"beam": 3, "no_repeat_ngram_size": 2},
    ],
)
@pytest.mark.parametrize("seed", range(4))
def test_a_sentence_does_not_depend_on_its_batch(build, batch, search, seed, options):
    model = build(15, seed=seed, end=2 * seed, encoder_layers=2)
    options = {"max_len_b": 12, "print_alignment": "soft"} | options
    sample = batch([4, 9, 1, 7, 7], seed=seed)
    together = search(model, sample, **options)
    padded = search(model, widened(sample), **options)
    order = torch.tensor([3, 0, 4, 2, 1])
    shuffled = {"net_input": {key: value[order] for key, value in sample["net_input"].items()}}
    shuffled = search(model, shuffled, **options)
    for row, hypotheses in enumerate(together):
        (single,) = search(model, alone(sample, row), **options)
        for other in (single, padded[row], shuffled[order.tolist().index(row)]):
            assert tokens_of(hypotheses) == tokens_of(other)
            for a, b in zip(hypotheses, other, strict=True):
                assert a["score"] == pytest.approx(b["score"], abs=1e-5)
                assert_close(a["attention"], b["attention"], rtol=0, atol=1e-5)


def test_the_sample_and_the_model_are_left_as_they_were(build, batch, search):
    model, sample = build(), batch([4, 9])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    tokens, prefix = sample["net_input"]["src_tokens"].clone(), torch.tensor([[5, 6], [7, PAD]])
    first = search(model, sample, prefix, beam=3, max_len_b=8)
    assert torch.equal(sample["net_input"]["src_tokens"], tokens)
    assert prefix.tolist() == [[5, 6], [7, PAD]]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [tokens_of(h) for h in search(model, sample, prefix, beam=3, max_len_b=8)] == [tokens_of(h) for h in first]


# ------------------------------------------------------- lengths and order


@pytest.mark.parametrize("beam", [1, 3, 6])
def test_hypotheses_are_well_formed(build, batch, search, beam):
    for seed in range(6):
        for hypotheses in search(build(14, seed=seed, end=seed), batch([4, 7, 2]), beam=beam, max_len_b=9):
            assert 1 <= len(hypotheses) <= beam
            found = tokens_of(hypotheses)
            assert len({tuple(tokens) for tokens in found}) == len(found)
            scores = [h["score"] for h in hypotheses]
            assert scores == sorted(scores, reverse=True)
            for h in hypotheses:
                tokens = h["tokens"].tolist()
                assert tokens[-1] == EOS
                assert EOS not in tokens[:-1]
                assert PAD not in tokens
                assert h["tokens"].dtype == torch.int64
                assert h["positional_scores"].shape == h["tokens"].shape
                assert h["positional_scores"].max() <= 0


@pytest.mark.parametrize("shortest", [0, 1, 4, 9])
def test_min_len(build, batch, search, shortest):
    lengths = []
    for seed in range(4):
        for hypotheses in search(build(seed=seed, end=12), batch([4, 7, 2]), beam=3, min_len=shortest, max_len_b=9):
            lengths += [len(h["tokens"]) - 1 for h in hypotheses]
    assert min(lengths) == shortest  # </s> is the likeliest symbol


def test_max_len_is_each_sentences_own(build, batch, search):
    results = search(build(end=-30), batch([2, 9, 5]), beam=3, max_len_a=2, max_len_b=1)
    for source_length, hypotheses in zip([2, 9, 5], results, strict=True):
        assert {len(h["tokens"]) for h in hypotheses} == {2 * source_length + 1 + 1}  # and </s>


@pytest.mark.parametrize(
    ("ratio", "lengths"), [(1.1, [10, 30]), (0.7, [10, 90]), (0.21, [300, 100]), (0.26, [450, 50])]
)
def test_max_len_is_fairseqs_to_the_symbol(build, batch, search, ratio, lengths):
    """int(a * S) in double precision: 0.21 * 300 is 63 there, and 62.99 or 63.01 elsewhere."""
    results = search(build(end=-30, longest=1000), batch(lengths), max_len_a=ratio, max_len_b=0, beam=1)
    assert [len(h[0]["tokens"]) - 1 for h in results] == [int(ratio * length) for length in lengths]


def test_lengths_of_sources_are_counted_without_their_factors(build, batch, search):
    """Three symbols with a factor each, and </s>; the shortest output is the longest, so both bounds are met."""
    results = search(build(end=12, encoder_factors=1), batch([7]), beam=1, min_len_a=2, max_len_a=2, max_len_b=0)
    assert [len(h["tokens"]) - 1 for h in results[0]] == [2 * 4]
    results = search(build(end=-30, encoder_factors=1), batch([7]), beam=1, max_len_a=2, max_len_b=0)
    assert [len(h["tokens"]) - 1 for h in results[0]] == [2 * 4]


def test_max_len_stays_below_the_models_positions(build, batch, search):
    results = search(build(end=-30, longest=8), batch([2, 9]), beam=3, max_len_b=200)
    assert {len(h["tokens"]) for hypotheses in results for h in hypotheses} == {8}


def test_min_len_beyond_max_len_gives_the_longest(build, batch, search):
    for hypotheses in search(build(end=12), batch([2, 9]), beam=3, min_len=50, max_len_b=6):
        assert {len(h["tokens"]) for h in hypotheses} == {7}


# ----------------------------------------------------------------- prefixes


@pytest.mark.parametrize("beam", [1, 2, 5])
def test_prefixes_of_different_lengths(build, batch, search, beam):
    prefix = torch.tensor([[5, 6, 7, 8], [9, PAD, PAD, PAD], [PAD, PAD, PAD, PAD], [6, UNK, 6, PAD]])
    for seed in range(4):
        model, sample = build(seed=seed, end=4), batch([4, 7, 2, 5], seed=seed)
        results = search(model, sample, prefix, beam=beam, max_len_b=10)
        for row, hypotheses in enumerate(results):
            forced = [token for token in prefix[row].tolist() if token != PAD]
            assert all(h["tokens"].tolist()[: len(forced)] == forced for h in hypotheses)
            (single,) = search(
                model, alone(sample, row), torch.tensor([forced]) if forced else None, beam=beam, max_len_b=10
            )
            assert tokens_of(hypotheses) == tokens_of(single)
        assert tokens_of(results[2]) == tokens_of(search(model, alone(sample, 2), beam=beam, max_len_b=10)[0])


@pytest.mark.parametrize("beam", [1, 4])
def test_a_prefix_may_end_the_sentence(build, batch, search, beam):
    prefix = torch.tensor([[5, EOS, PAD], [EOS, PAD, PAD], [6, 7, EOS], [6, PAD, PAD]])
    results = search(build(end=-5), batch([4, 7, 2, 5]), prefix, beam=beam, max_len_b=10, min_len=3)
    assert [tokens_of(h) for h in results[:3]] == [[[5, EOS]], [[EOS]], [[6, 7, EOS]]]
    assert all(h["tokens"][0] == 6 and len(h["tokens"]) > 3 for h in results[3])


def test_a_prefix_longer_than_the_limit_is_cut(build, batch, search):
    prefix = torch.tensor([[5, 6, 7, 8, 9]])
    assert tokens_of(search(build(), batch([4]), prefix, beam=3, max_len_b=3)[0]) == [[5, 6, 7, EOS]]


def test_a_prefix_may_repeat_itself(build, batch, search):
    """The user's words win over no_repeat_ngram_size; what follows them does not repeat."""
    prefix = torch.tensor([[5, 6, 5, 6], [7, 8, PAD, PAD]])
    results = search(build(end=-5), batch([4, 6]), prefix, beam=3, max_len_b=8, no_repeat_ngram_size=2)
    for hypotheses, forced in zip(results, ([5, 6, 5, 6], [7, 8]), strict=True):
        assert hypotheses
        for tokens in tokens_of(hypotheses):
            assert tokens[: len(forced)] == forced
            grams = list(itertools.pairwise(tokens))[len(forced) - 1 :]
            assert len(set(grams)) == len(grams)


# ---------------------------------------------------------------- dead ends


@pytest.mark.parametrize("vocabulary", [5, 6, 7])
@pytest.mark.parametrize("beam", [1, 3, 8, 30])
def test_tiny_vocabularies(build, batch, search, vocabulary, beam):
    for seed in range(3):
        results = search(build(vocabulary, seed=seed), batch([4, 1, 3]), beam=beam, max_len_b=5)
        for hypotheses in results:
            assert 1 <= len(hypotheses) <= beam
            assert len({tuple(tokens) for tokens in tokens_of(hypotheses)}) == len(hypotheses)


@pytest.mark.parametrize("beam", [1, 3])
def test_all_words_used_up_before_min_len(build, batch, search, beam):
    """No unigram may come twice and </s> not yet: the sentence ends all the same."""
    for hypotheses in search(build(6), batch([4, 2]), beam=beam, no_repeat_ngram_size=1, min_len=20, max_len_b=30):
        assert hypotheses
        for tokens in tokens_of(hypotheses):
            assert tokens[-1] == EOS
            assert sorted(tokens[:-1]) == [0, 3, 4, 5]


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), float("inf")])
@pytest.mark.parametrize("broken", ["one word", "everything"])
def test_broken_logits_give_a_hypothesis(build, batch, search, value, broken):
    """A diverged model neither hangs nor leaves fairseq-generate without the hypothesis it counts on."""
    model = build(seed=1)
    with torch.no_grad():
        model.decoder.generator.output.bias[slice(None) if broken == "everything" else 7] = value
    results = search(model, batch([4, 9]), beam=3, max_len_b=6)
    for hypotheses in results:
        assert hypotheses
        assert all(h["tokens"][-1] == EOS and len(h["tokens"]) <= 7 for h in hypotheses)
        assert not any(h["positional_scores"].isnan().any() for h in hypotheses)


def test_one_broken_word_leaves_the_others(build, batch, search):
    model = build(seed=1, end=0)
    with torch.no_grad():
        model.decoder.generator.output.bias[7] = float("-inf")
    for hypotheses in search(model, batch([4, 9]), beam=5, max_len_b=6):
        assert all(7 not in tokens for tokens in tokens_of(hypotheses))
        assert all(h["positional_scores"].isfinite().all() for h in hypotheses)


# ----------------------------------------------------------------- options


def test_options_have_fairseqs_names_and_defaults():
    assert BeamOptions.from_config(GenerationConfig(), Seq2SeqTaskConfig(seed=1)) == BeamOptions()
    assert BeamOptions.from_config(SimpleNamespace(beam=7), SimpleNamespace(ctc_search_weight=0.5)) == BeamOptions(
        beam=7, ctc_search_weight=0.5
    )
    assert BeamOptions.from_config(SimpleNamespace(), SimpleNamespace()) == BeamOptions()


@pytest.mark.parametrize(("name", "value"), [("beam", 0), ("beam", -3), ("temperature", 0.0), ("temperature", -1.0)])
def test_refuses_what_makes_no_sense(name, value):
    with pytest.raises(UserError, match=rf"generation\.{name} must be .*, got {value}"):
        BeamOptions.from_config(SimpleNamespace(**{name: value}), SimpleNamespace())


@pytest.mark.parametrize("weight", [-0.5, 1.0, 2.0, float("nan")])
def test_refuses_a_weight_of_ctc_out_of_range(weight):
    with pytest.raises(UserError, match=rf"task\.ctc_search_weight must be in \[0, 1\), got {weight}"):
        BeamOptions.from_config(SimpleNamespace(), SimpleNamespace(ctc_search_weight=weight))


def test_search_switches_dropout_off(build):
    model = build().train()
    BeamSearch([model], model.decoder.dictionary, BeamOptions())
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("options", [{}, {"sampling": True}, {"no_repeat_ngram_size": 2, "print_alignment": "hard"}])
def test_finished_sentences_may_stay_in_the_batch(build, batch, search, monkeypatch, options):
    """As on a GPU, where a look for them every step would keep it waiting."""
    model, sample = build(14, seed=2, end=3), batch([4, 9, 2, 6], seed=2)
    options = {"beam": 3, "max_len_a": 1.0, "max_len_b": 4} | options
    expected = search(model, sample, **options)
    monkeypatch.setitem(SYNC_INTERVAL, "cpu", 8)
    for mine, other in zip(search(model, sample, **options), expected, strict=True):
        assert [h["tokens"].tolist() for h in mine] == [h["tokens"].tolist() for h in other]
        assert [h["alignment"] for h in mine] == [h["alignment"] for h in other]
