"""Distinct n-grams and lengths, counted by hand."""

from __future__ import annotations

import pytest
from fairseq.scoring import build_scorer


def scorer_of(name: str, *hypotheses: str):
    scorer = build_scorer(name, None)
    for hypothesis in hypotheses:
        scorer.add_string("anything", hypothesis)
    return scorer


def test_distinct_counts_ngrams_of_all_replies_together():
    replies = "I do not know.", "I do!", "Do you know?"
    # i do not know i do do you know: 5 different words of 9; i-do do-not not-know i-do do-you you-know: 5 of 6
    assert scorer_of("s2s_distinct1", *replies).score() == pytest.approx(100 * 5 / 9)
    assert scorer_of("s2s_distinct2", *replies).score() == pytest.approx(100 * 5 / 6)


def test_saying_the_same_to_everybody_is_not_varied():
    assert scorer_of("s2s_distinct2", *["I do not know."] * 50).score() == pytest.approx(100 * 3 / 150)


def test_no_ngram_at_all():
    assert scorer_of("s2s_distinct2", "Yes.", "").score() == 0
    assert scorer_of("s2s_reply_length", "", "").score() == 0


@pytest.mark.parametrize(
    ("reply", "words"), [("Don't you? -- No, I don't!", 5), ("무슨 말씀인지, 잘 모르겠어요.", 4), ("?", 1), ("  ", 0)]
)
def test_length_is_in_words(reply, words):
    scorer = scorer_of("s2s_reply_length", reply, "one two")
    assert scorer.score() == (words + 2) / 2
    assert scorer.evaluate()[1] == "length|unit:word|case:lc|punct:no|refs:1"
    assert scorer.higher_is_better is None
