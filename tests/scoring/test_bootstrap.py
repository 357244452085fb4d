"""Intervals and the paired test: equal to sacrebleu's own, and right where the answer is known."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from fairseq.scoring import SCORER_REGISTRY, build_scorer
from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.significance import PairedTest

import s2s_plugin
from s2s_plugin.scoring import bootstrap
from s2s_plugin.scoring.base import Scorer

OURS = sorted(name for name, thing in SCORER_REGISTRY.items() if thing.__module__.startswith(s2s_plugin.__name__))
SACREBLEU = {"s2s_bleu": BLEU, "s2s_chrf": CHRF, "s2s_ter": TER}


def items(seed: int, right: float, count: int = 60) -> list[tuple[list[str], str]]:
    """References and a hypothesis whose words are right with this probability; the references go by their number."""
    draw, words = (
        random.Random(seed),
        ["a", "dog", "cat", "man", "woman", "runs", "sits", "in", "on", "the", "park", "snow", "red"],
    )
    found = []
    for number in range(count):
        reference = random.Random(number).choices(words, k=random.Random(-number).randint(3, 12))
        found.append(
            ([" ".join(reference)], " ".join(w if draw.random() < right else draw.choice(words) for w in reference))
        )
    return found


def filled(name: str, pairs) -> Scorer:
    scorer = build_scorer(name, None)
    for references, hypothesis in pairs:
        scorer.add_string(references, hypothesis)
    return scorer


@pytest.mark.parametrize("name", OURS)
def test_a_resample_is_scored_as_if_it_were_the_test_set(name: str):
    """Also: sums over items give what scoring anew gives."""
    scorer = filled(name, items(1, 0.6))
    everything, some = np.arange(60), np.array([5, 5, 7, 50, *range(56)])
    whole, part = scorer.resampled([everything, some])
    assert whole == pytest.approx(scorer.score())
    if name != "s2s_cider":  # whose idf stays that of all
        assert part == pytest.approx(Scorer.resampled(scorer, [some])[0])


@pytest.mark.parametrize("name", SACREBLEU)
def test_intervals_are_sacrebleus_and_p_is_twice_its_one_sided_one(name: str):
    systems = [items(seed, right) for seed, right in ((1, 0.6), (2, 0.66))]
    references = [[pair[0][0] for pair in systems[0]]]
    metric = SACREBLEU[name]()
    named = [(str(number), [pair[1] for pair in system]) for number, system in enumerate(systems)]
    signatures, found = PairedTest(named, {name: metric}, references, "bs")()
    theirs = next(values for key, values in found.items() if key != "System")
    scores = [bootstrap.resampled_scores(filled(name, system)) for system in systems]
    for result, ours in zip(theirs, scores, strict=True):
        low, high = bootstrap.interval(ours)
        assert result.mean == pytest.approx(ours.mean(), rel=1e-5)
        assert result.ci == pytest.approx((high - low) / 2, rel=1e-4)
    assert 0.005 < theirs[1].p_value < 0.3
    assert bootstrap.p_value(*scores) == pytest.approx(2 * theirs[1].p_value, rel=0.4)
    assert set(bootstrap.SIGNATURE.split("|")) < set(str(next(iter(signatures.values()))).split("|"))


def test_the_interval_of_a_share_is_the_binomial_one():
    """80 of 400 items are right: 20 % with a standard error of 2."""
    scorer = filled("s2s_exact", [(["a"], "a" if number < 80 else "b") for number in range(400)])
    low, high = bootstrap.interval(bootstrap.resampled_scores(scorer))
    error = 100 * math.sqrt(0.2 * 0.8 / 400)
    assert low == pytest.approx(20 - 1.96 * error, abs=0.5)
    assert high == pytest.approx(20 + 1.96 * error, abs=0.5)


def test_equal_systems_do_not_differ_and_others_do():
    some, better = (bootstrap.resampled_scores(filled("s2s_bleu", items(1, right))) for right in (0.5, 0.9))
    assert bootstrap.p_value(some, some) == 1
    assert bootstrap.p_value(some, better) == bootstrap.p_value(better, some) == pytest.approx(2 / 1001)


def test_systems_that_are_equally_good_rarely_differ():
    """p below 0.2 in about a fifth of such cases: here 14 of 40 at most, and some."""
    wrongly = 0
    for seed in range(40):
        pair = [bootstrap.resampled_scores(filled("s2s_wer", items(seed + far, 0.6))) for far in (0, 1000)]
        wrongly += bootstrap.p_value(*pair) < 0.2
    assert 2 <= wrongly <= 14


def test_resamples_are_drawn_as_sacrebleu_draws_them():
    found = np.array(list(bootstrap.resamples(50)))
    together = np.random.default_rng(bootstrap.SEED).choice(50, size=(bootstrap.RESAMPLES, 50))
    assert np.array_equal(found, together)
