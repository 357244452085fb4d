"""Minimum Bayes risk against a loop over all pairs."""

from __future__ import annotations

import math

import pytest
from fairseq.scoring import build_scorer
from sacrebleu.metrics import CHRF

import s2s_plugin.scoring.recognition  # noqa: F401  (registers s2s_cer)
from s2s_plugin.errors import UserError
from s2s_plugin.scoring.rewards import REWARDS, build_reward
from s2s_plugin.search.beam import BeamSearch
from s2s_plugin.search.mbr import MinimumBayesRisk
from s2s_plugin.search.options import BeamOptions


def chrf(hypothesis: str, reference: str) -> float:
    return CHRF().sentence_score(hypothesis, [reference]).score / 100


def one_minus_cer(hypothesis: str, reference: str) -> float:
    scorer = build_scorer("s2s_cer", None)
    scorer.add_string(reference, hypothesis)
    return max(0.0, 1 - scorer.score() / 100)


@pytest.mark.parametrize(("name", "utility"), [("chrf", chrf), ("cer", one_minus_cer)])
@pytest.mark.parametrize("sampling", [False, True])
def test_equals_a_loop_over_all_pairs(build, batch, name, utility, sampling):
    model, sample = build(12, seed=4, peak=1, end=1), batch([5, 3, 7])
    dictionary = model.decoder.dictionary
    options = BeamOptions(beam=8, max_len_b=6, sampling=sampling)
    plain = BeamSearch([model], dictionary, options)
    text = dictionary.string
    search = MinimumBayesRisk(BeamSearch([model], dictionary, options), build_reward(name), text, sampling)
    moved = 0
    for found, hypotheses in zip(search.generate([model], sample), plain.generate([model], sample), strict=True):
        weights = [1.0 if sampling else math.exp(float(h["positional_scores"].sum())) for h in hypotheses]
        expected = []
        for mine in hypotheses:
            value = 0.0
            for other, weight in zip(hypotheses, weights, strict=True):
                value += weight / sum(weights) * utility(text(mine["tokens"]), text(other["tokens"]))
            expected.append(value)
        assert [h["expected_utility"] for h in found] == pytest.approx(sorted(expected, reverse=True), abs=1e-6)
        best = hypotheses[max(range(len(expected)), key=expected.__getitem__)]
        assert text(found[0]["tokens"]) == text(best["tokens"]) and found[0]["score"] == best["score"]
        moved += text(found[0]["tokens"]) != text(hypotheses[0]["tokens"])
    assert sampling or moved  # it does choose others than the likeliest


def test_every_measure_of_the_table_is_best_where_texts_are_equal():
    for name in REWARDS:
        utility = build_reward(name)
        assert utility("the cat sat here", "the cat sat here") == pytest.approx(1)
        assert utility("the cat sat here", "dogs run") < 0.7


def test_refuses_a_beam_of_one():
    with pytest.raises(UserError, match="beam > 1"):
        BeamOptions(beam=1, mbr="chrf")
