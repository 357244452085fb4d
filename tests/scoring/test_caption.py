"""CIDEr-D against the figures of its authors' code and a second formulation in dense vectors."""

from __future__ import annotations

import random

import numpy as np
import pytest
from fairseq.scoring import build_scorer

from s2s_plugin.scoring.caption import cider_d

CAPTIONS = [
    (
        "a man rides a brown horse on the beach .",
        ["a man rides a horse on the beach .", "a person on a brown horse near the sea ."],
    ),
    (
        "two dogs dogs run in the snow .",
        ["two dogs run in the snow .", "dogs are playing in the snow .", "two brown dogs in deep snow ."],
    ),
    ("a child eats", ["a child eats a red apple ."]),
    ("a woman reads a book on a train", ["a woman reads a book on a train"]),
]
AUTHORS = [4.553767366162532, 4.470056357605627, 3.4740490158127333, 10.0]  # pycocoevalcap 1.2, these words


def dense_cider_d(hypotheses: list[list[str]], references: list[list[list[str]]]) -> np.ndarray:
    """The definition with one float64 vector over all n-grams of an order for each sentence."""

    def grams(words: list[str], n: int) -> list[str]:
        return [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]

    every_sentence = [*hypotheses, *(ref for refs in references for ref in refs)]
    scores = np.zeros(len(hypotheses))
    for n in (1, 2, 3, 4):
        axes = sorted({gram for words in every_sentence for gram in grams(words, n)})
        items_with = np.array([sum(any(a in grams(ref, n) for ref in refs) for refs in references) for a in axes])
        idf = np.log(len(references)) - np.log(np.maximum(items_with, 1))
        for item, (hypothesis, refs) in enumerate(zip(hypotheses, references, strict=True)):
            c = idf * np.array([grams(hypothesis, n).count(a) for a in axes])
            for ref in refs:
                s = idf * np.array([grams(ref, n).count(a) for a in axes])
                lengths = np.linalg.norm(c) * np.linalg.norm(s)
                cosine = np.minimum(c, s) @ s / lengths if lengths else 0.0
                gauss = np.exp(-((len(hypothesis) - len(ref)) ** 2) / (2 * 6.0**2))
                scores[item] += 10 / 4 / len(refs) * gauss * cosine
    return scores


def split(captions):
    return [hyp.split() for hyp, _ in captions], [[ref.split() for ref in refs] for _, refs in captions]


def cider(captions):
    scorer = build_scorer("s2s_cider", None)
    for hypothesis, references in captions:
        scorer.add_string(references, hypothesis)
    return scorer


def test_equals_the_authors_code():
    assert cider_d(*split(CAPTIONS)) == pytest.approx(AUTHORS, rel=1e-12)
    assert dense_cider_d(*split(CAPTIONS)) == pytest.approx(AUTHORS, rel=1e-12)
    score, signature = cider(CAPTIONS).evaluate()
    assert score == pytest.approx(100 * sum(AUTHORS) / 4)
    assert signature == "cider-d|idf:test|case:lc|tok:13a|refs:var"


def test_equals_dense_vectors():
    rng = random.Random(1)
    for _ in range(10):
        references = [
            [rng.choices("aabcdefg", k=rng.randint(0, 9)) for _ in range(rng.randint(1, 4))] for _ in range(6)
        ]
        hypotheses = [rng.choice(refs)[:6] + rng.choices("abh", k=rng.randint(0, 4)) for refs in references]
        found = cider_d(hypotheses, references)
        assert found == pytest.approx(dense_cider_d(hypotheses, references), rel=1e-9, abs=1e-12)
        assert sum(found) > 1


def test_by_hand():
    """Two items, idf ln 2 except "a" (in both: 0). Equal lengths; 1-grams agree in one of two, 2-grams in none."""
    hypotheses, references = [["a", "b", "c"], ["x"]], [[["a", "b", "d"]], [["a", "y"]]]
    # 1-grams without "a": (b, c) . (b, d) = 1 / (sqrt 2 sqrt 2); 2-grams: (ab, bc) . (ab, bd) = 1 / 2; 3-grams: 0
    assert cider_d(hypotheses, references) == pytest.approx([10 * (0.5 + 0.5 + 0 + 0) / 4, 0])


def test_words_are_lower_case_and_punctuation_stands_apart():
    captions = [(hyp.capitalize().replace(" .", "."), [ref.upper() for ref in refs]) for hyp, refs in CAPTIONS]
    assert cider(captions).score() == pytest.approx(cider(CAPTIONS).score())


def test_repeating_and_length_gain_nothing():
    hypotheses, references = split(CAPTIONS)
    (plain, *_) = cider_d(hypotheses, references)
    (doubled, *_) = cider_d([hypotheses[0] * 2, *hypotheses[1:]], references)
    assert 0 < doubled < plain / 2


def test_single_references():
    captions = [(hypothesis, references[0]) for hypothesis, references in CAPTIONS]
    score, signature = cider(captions).evaluate()
    assert score == pytest.approx(100 * np.mean(dense_cider_d(*split([(h, [r]) for h, r in captions]))))
    assert signature.endswith("|refs:1")


def test_zero_where_nothing_can_be_weighed():
    assert cider([("", references) for _, references in CAPTIONS]).score() == 0
    assert cider(CAPTIONS[:1]).score() == 0  # one item: every idf is log 1
    assert cider([("a dog", ""), ("a cat", "")]).score() == 0
