"""Rewards against plain counts."""

from __future__ import annotations

from collections import Counter

import pytest

from s2s_plugin.scoring.rewards import REWARDS, build_reward


@pytest.mark.parametrize("name", REWARDS)
def test_from_nothing_to_all(name: str):
    reward = build_reward(name)
    assert reward("the cat sat on the mat", "the cat sat on the mat") == pytest.approx(1)
    for hypothesis in ("", "xy xy xy xy xy xy xy xy xy xy xy xy xy xy xy xy"):
        assert reward(hypothesis, "the cat sat on the mat") == 0


@pytest.mark.parametrize("name", ["chrf", "gleu", "wer", "cer", "per"])
def test_nearer_is_better(name: str):
    reward = build_reward(name)
    near, far = reward("the cat sat on a mat", "the cat sat on the mat"), reward("a cat sat", "the cat sat on the mat")
    assert 0 < far < near < 1


@pytest.mark.parametrize("hypothesis", ["b c d a b", "a b", "a a a a a a a", "x", "a b c d e f g"])
def test_gleu_is_the_smaller_of_precision_and_recall(hypothesis: str):
    def ngrams(text: str) -> Counter:
        words = text.split()
        return Counter(tuple(words[i : i + n]) for n in range(1, 5) for i in range(len(words) - n + 1))

    reference = "a b c d e"
    found, wanted = ngrams(hypothesis), ngrams(reference)
    matches = (found & wanted).total()
    expected = min(matches / found.total(), matches / wanted.total())
    assert build_reward("gleu")(hypothesis, reference) == pytest.approx(expected)


def test_gleu_reads_words_as_the_tokenizer_does():
    assert build_reward("gleu")("Oh , no .", "Oh, no.") == 1
    assert build_reward("gleu", "none")("Oh , no .", "Oh, no.") == 0
    assert build_reward("gleu", "char")("가 나", "가나") == 1


def test_error_rates_leave_a_share():
    assert build_reward("wer")("A cat, sat.", "a cat sat down") == pytest.approx(3 / 4)
    assert build_reward("cer")("ab cd", "ab ce") == pytest.approx(4 / 5)
    assert build_reward("per")("A k t", "a k t") == pytest.approx(2 / 3)
    assert build_reward("g2p_wer")("a k d", "a k t") == 0
    assert build_reward("exact")("Yes!", "yes") == 1
