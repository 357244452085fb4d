"""Which texts are alike: against the cosine written out."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from s2s_plugin.text.matching import TfidfIndex, char_ngrams, words


def test_features():
    assert words("The DOOR, the door!") == ["the", "door", "the", "door"]
    assert char_ngrams("Ab!") == ["_", "a", "b", "_", "_a", "ab", "b_", "_ab", "ab_"]
    assert char_ngrams("a, a").count("a_a") == 1 and char_ngrams("가스비").count("가스비") == 1


@pytest.mark.parametrize("features", [words, char_ngrams])
def test_the_nearest_is_that_of_the_greatest_cosine(features):
    draw = random.Random(1)
    texts = [" ".join(draw.choices("abcdefghi", range(9, 0, -1), k=draw.randint(1, 8))) for _ in range(80)]
    known, queries = texts[:60], texts[60:]
    having = Counter(feature for text in known for feature in set(features(text)))

    def vector(text: str) -> list[float]:
        return [features(text).count(each) * (math.log(61 / (1 + number)) + 1) for each, number in having.items()]

    index = TfidfIndex(known, features)
    for text in queries:
        cosines = [
            sum(map(float.__mul__, vector(other), vector(text)))
            / (math.hypot(*vector(other)) * math.hypot(*vector(text)))
            for other in known
        ]
        found = index.nearest(text)
        assert cosines[found] == pytest.approx(max(cosines))
        second = index.nearest(text, exclude=[found])
        assert second != found and cosines[second] == pytest.approx(max([*cosines[:found], *cosines[found + 1 :]]))


def test_of_equals_the_first_and_without_a_common_feature_too():
    index = TfidfIndex(["a b", "c d", "C, d!"], words)
    assert [index.nearest(text) for text in ("d c", "z", "D", "")] == [1, 0, 1, 0]
    assert index.nearest("d c", exclude=[1]) == 2
