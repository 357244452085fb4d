"""ROUGE against plain counts and a textbook subsequence; its words, stems and references."""

from __future__ import annotations

import random
from collections import Counter
from importlib.metadata import version
from itertools import combinations

import pytest
from fairseq.scoring import build_scorer
from omegaconf import OmegaConf

from s2s_plugin.scoring.validation import Metric

TOOL = f"rouge-score-{version('rouge-score')}"
KINDS = ("rouge1", "rouge2", "rougel")


def scorer_of(name: str, *items: tuple[str | list[str], str], **options):
    scorer = build_scorer(OmegaConf.create({"_name": f"s2s_{name}", **options}), None)
    for reference, hypothesis in items:
        scorer.add_string(reference, hypothesis)
    return scorer


def f_measure(matches: int, wanted: int, written: int) -> float:
    return 2 * matches / (wanted + written) if matches else 0.0


def by_counts(name: str, reference: list[str], hypothesis: list[str]) -> float:
    """The definition; ROUGE-L by trying every subsequence, the longest first."""
    if name == "rougel":
        found = next(
            size
            for size in range(len(hypothesis), -1, -1)
            for chosen in combinations(hypothesis, size)
            if is_within(chosen, reference)
        )
        return f_measure(found, len(reference), len(hypothesis))
    n = int(name[-1])
    wanted, written = (
        Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1)) for words in (reference, hypothesis)
    )
    return f_measure((wanted & written).total(), wanted.total(), written.total())


def is_within(chosen: tuple[str, ...], words: list[str]) -> bool:
    rest = iter(words)
    return all(word in rest for word in chosen)


@pytest.mark.parametrize("name", KINDS)
def test_is_the_mean_of_the_counted_f_measures(name: str):
    draw = random.Random(1)
    items = [tuple(draw.choices("abcd", k=draw.randint(1, 8)) for _ in range(2)) for _ in range(60)]
    scorer = scorer_of(name, *((" ".join(reference), " ".join(hypothesis)) for reference, hypothesis in items))
    expected = [by_counts(name, *item) for item in items]
    assert scorer.item_scores() == pytest.approx([100 * score for score in expected])
    assert scorer.score() == pytest.approx(100 * sum(expected) / 60)
    assert 10 < scorer.score() < 90


@pytest.mark.parametrize("name", KINDS)
def test_of_several_references_the_best(name: str):
    references = ["meeting on Monday", "budget review for May", "review of the budget"]
    alone = [scorer_of(name, (reference, "the budget review of May")).score() for reference in references]
    together = scorer_of(name, (references, "the budget review of May"))
    assert together.score() == pytest.approx(max(alone)) and max(alone) > min(alone)
    assert together.evaluate()[1] == f"{name}|f|tok:rouge|stem:porter|tool:{TOOL}|refs:3"


def test_stems_are_compared_unless_told_otherwise():
    item = ("meetings confirmed", "meeting confirmation")
    assert scorer_of("rouge1", item).score() == 100
    plain = scorer_of("rouge1", item, rouge_stemmer=False)
    assert plain.score() == 0 and "|stem:no|" in plain.evaluate()[1]


@pytest.mark.parametrize(
    ("reference", "hypothesis"), [("예산 검토 회의", "예산 회의"), ("Größe des Haushalts", "größe, haushalts!")]
)
def test_words_of_any_script(reference: str, hypothesis: str):
    """The published tool has only a to z, so that other scripts have no words, and umlauts part them."""
    unicode = scorer_of("rouge1", (reference, hypothesis), rouge_tokenizer="unicode", rouge_stemmer=False)
    assert unicode.score() == pytest.approx(80) and "|tok:unicode|" in unicode.evaluate()[1]
    assert scorer_of("rouge1", (reference, hypothesis), rouge_tokenizer="rouge").score() != pytest.approx(80)
    assert scorer_of("rouge1", ("Meetings, today", "a meeting"), rouge_tokenizer="unicode").score() == 50


def test_nothing_in_common_and_nothing_at_all():
    assert [scorer_of(name, ("a b", "c d"), ("a", "")).score() for name in KINDS] == [0, 0, 0]


@pytest.mark.parametrize("name", KINDS)
def test_in_the_loop_batches_add_up(name: str):
    pairs = [("the budget review", "review of the budget"), ("a", "a"), ("x y", "x z"), ("예산 회의", "예산 검토 회의")]
    metric = Metric(name)
    parts = [metric.statistics(part) for part in (pairs[:1], pairs[1:])]
    sums = [sum(values) for values in zip(*parts, strict=True)]
    whole = scorer_of(name, *((reference, text) for text, reference in pairs), rouge_tokenizer="unicode")
    assert metric.value(sums) == pytest.approx(whole.score(), abs=1e-3)
    assert all(type(value) is int for value in sums)
