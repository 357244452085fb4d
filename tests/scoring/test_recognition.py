"""Error rates against jiwer and a textbook edit distance; what counts as a word, in several scripts."""

from __future__ import annotations

import random
from importlib.metadata import version

import jiwer
import pytest
from fairseq.scoring import build_scorer
from omegaconf import OmegaConf

from s2s_plugin.scoring.recognition import normalize_basic, normalize_none

TOOL = f"jiwer-{version('jiwer')}"
ALPHABET = list("aàbB'’.,- \t") + list("é क्षि다ل٣½ﬁ㎏İßẞ1") + ["H\u0331", "\u200c", "\u00ad", "\ufe0f", "❤", "¨", "´"]


def random_texts(count: int, seed: int = 1) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices(ALPHABET, k=rng.randint(0, 30))) for _ in range(count)]


def scorer_of(name: str, *items: tuple[str | list[str], str], normalizer: str = "basic"):
    option = "exact_normalizer" if name == "exact" else "wer_normalizer"
    scorer = build_scorer(OmegaConf.create({"_name": f"s2s_{name}", option: normalizer}), None)
    for reference, hypothesis in items:
        scorer.add_string(reference, hypothesis)
    return scorer


def edit_distance(reference: list[str] | str, hypothesis: list[str] | str) -> int:
    """Wagner and Fischer's table, row by row."""
    row = list(range(len(hypothesis) + 1))
    for i, expected in enumerate(reference, start=1):
        diagonal, row[0] = row[0], i
        for j, found in enumerate(hypothesis, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (expected != found))
    return row[-1]


# ------------------------------------------------------------- normalization


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don’t stop -- it`s 3.5 €!", "don't stop it's 3 5"),
        ("rock 'n' roll, the dogs' 'bone' x''y", "rock n roll the dogs bone x y"),
        ("  two\tspaced\n lines  ", "two spaced lines"),
        ("snake_case / well-known", "snake case well known"),
        ("STRAẞE Straße", "straße straße"),
        ("ＦＵＬＬ ﬁne ㈜ ™ ½", "full fine 주 tm 1 2"),
        ("한국어, 좋아요! \u1112\u1161\u11ab", "한국어 좋아요 한"),
        ("क्षत्रिय हिन्दी।", "क्षत्रिय हिन्दी"),
        ("می\u200cخواهم؟", "میخواهم"),
        ("п’ять п\u02bcять", "п'ять п'ять"),
        ("H\u0331 \u1e96", "\u1e96 \u1e96"),
        ("e\u00ad\u0301", "é"),
        ("I ❤\ufe0f ¨ NY", "i ny"),
        ("…!?", ""),
        ("", ""),
    ],
)
def test_normalize_basic(text, words):
    assert normalize_basic(text) == words


def test_normalize_basic_is_idempotent():
    changed = 0
    for text in random_texts(3000):
        once = normalize_basic(text)
        assert normalize_basic(once) == once
        assert once == " ".join(once.split())
        changed += once != text
    assert changed > 2500


def test_normalize_none_only_sets_words_apart_by_one_space():
    assert normalize_none("  A\tdog's  life. ") == "A dog's life."


# --------------------------------------------------------------- error rates


@pytest.mark.parametrize("normalizer", ["basic", "none"])
@pytest.mark.parametrize(("name", "direct"), [("wer", jiwer.wer), ("cer", jiwer.cer)])
def test_equals_jiwer(name, direct, normalizer):
    normalize = {"basic": normalize_basic, "none": normalize_none}[normalizer]
    references, hypotheses = random_texts(200, seed=2), random_texts(200, seed=3)
    expected = 100 * direct([normalize(text) for text in references], [normalize(text) for text in hypotheses])
    scorer = scorer_of(name, *zip(references, hypotheses, strict=True), normalizer=normalizer)
    assert scorer.score() == pytest.approx(expected, rel=1e-12)
    assert scorer.score() > 50


@pytest.mark.parametrize("name", ["wer", "cer"])
def test_takes_the_reference_with_the_fewest_edits(name):
    rng = random.Random(4)
    items = [([" ".join(rng.choices("ab c", k=rng.randint(0, 9))) for _ in range(3)],
              " ".join(rng.choices("ab c", k=rng.randint(0, 9)))) for _ in range(200)]  # fmt: skip
    edits = length = 0
    for references, hypothesis in items:
        sides = [normalize_basic(text) for text in (*references, hypothesis)]
        *expected, found = [side.split() for side in sides] if name == "wer" else sides
        best = min((edit_distance(units, found), -len(units)) for units in expected)
        edits, length = edits + best[0], length - best[1]
    scorer = scorer_of(name, *items)
    assert scorer.score() == pytest.approx(100 * edits / length, rel=1e-12)
    assert scorer.corpus_edits().total == edits


@pytest.mark.parametrize("name", ["wer", "cer"])
def test_one_more_reference_never_adds_edits(name):
    references, hypotheses, more = (random_texts(100, seed) for seed in (5, 6, 7))
    one = scorer_of(name, *zip(references, hypotheses, strict=True)).corpus_edits()
    two = scorer_of(name, *zip(map(list, zip(references, more, strict=True)), hypotheses, strict=True)).corpus_edits()
    assert two.total < one.total


def test_among_equals_the_longest_reference_counts():
    """One substitution or one deletion: the rate is over the longer one, whatever the order."""
    for references in (["a x", "a b c"], ["a b c", "a x"]):
        assert scorer_of("wer", (references, "a b")).corpus_edits() == (3, 0, 1, 0)


def test_counts_each_kind():
    scorer = scorer_of("wer", ("One two, three four five six.", "oh well one TOO three five six"), ("x", "y"))
    assert scorer.corpus_edits() == (7, 2, 1, 2)
    assert scorer.result_string() == (
        f"WER = 71.43 (S = 2 D = 1 I = 2 ref_len = 7) wer|norm:basic|unit:word|tool:{TOOL}|refs:1"
    )


def test_cer_counts_the_spaces_between_words():
    scorer = scorer_of("cer", ("ab cd", "abcd"))
    assert scorer.corpus_edits() == (5, 0, 1, 0)
    assert scorer.evaluate() == (20.0, f"cer|norm:basic|unit:char|tool:{TOOL}|refs:1")


@pytest.mark.parametrize("name", ["wer", "cer"])
def test_empty_texts(name):
    """A reference of no words adds nothing to the length; what is said instead is inserted."""
    assert scorer_of(name, ("...", "x"), ("a", "a")).corpus_edits() == (1, 0, 0, 1)
    assert scorer_of(name, ("...", "x"), ("a", "a")).score() == 100
    assert scorer_of(name, ("a", "")).corpus_edits() == (1, 0, 1, 0)
    assert scorer_of(name, ("", ""), ("!", "?")).score() == 0
    assert scorer_of(name, ("", "x"), ("", "y")).score() == 200 == 100 * jiwer.wer(["", ""], ["x", "y"])


# -------------------------------------------------------------------- exact


def test_exact():
    items = [("Hello, world!", "hello world"), (["no", "It’s"], "it's"), ("a", "b"), ("c d", "c  d"), ("e", "e")]
    assert scorer_of("exact", *items).evaluate() == (80.0, "exact|norm:basic|refs:var")
    assert scorer_of("exact", *items, normalizer="none").evaluate() == (20.0, "exact|norm:none|refs:var")


def test_pronunciations_by_phone_and_as_a_whole():
    pairs = [("k æ t", "k æ t"), ("d ɒ ɡ", "d o ɡ"), ("f ɪ ʃ", "f ɪ ʃ ɪ z"), ("aː", "")]
    scores = {}
    for name in ("s2s_per", "s2s_g2p_wer"):
        scorer = build_scorer(name, None)
        for reference, hypothesis in pairs:
            scorer.add_string(reference, hypothesis)
        scores[name] = scorer.evaluate()
    assert scores["s2s_per"][0] == pytest.approx(100 * (0 + 1 + 2 + 1) / 10)
    assert scores["s2s_g2p_wer"][0] == pytest.approx(75.0)
    assert scores["s2s_per"][1] == "per|norm:none|unit:phone|tool:jiwer-4.0.0|refs:1"
    assert scores["s2s_g2p_wer"][1] == "wer|norm:none|unit:pronunciation|tool:jiwer-4.0.0|refs:1"
