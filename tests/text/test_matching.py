"""Which texts are alike: against the cosine written out."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from s2s_plugin.text.matching import Neighbours, letters, words


def test_features():
    assert words("The DOOR, the door!") == {"the": 2, "door": 2}
    assert letters("Ab!") == Counter(["_", "a", "b", "_", "_a", "ab", "b_", "_ab", "ab_"])
    assert letters("a, a")["a_a"] == 1 and letters("가스비")["가스비"] == 1


@pytest.mark.parametrize("features", [words, letters])
def test_the_nearest_is_that_of_the_greatest_cosine(features):
    draw = random.Random(1)
    texts = [" ".join(draw.choices("abcdefghi", range(9, 0, -1), k=draw.randint(1, 8))) for _ in range(80)]
    known, asked = texts[:60], texts[60:]
    having = Counter(feature for text in known for feature in features(text))

    def vector(text: str) -> list[float]:
        return [features(text)[each] * (math.log(61 / (1 + number)) + 1) for each, number in having.items()]

    neighbours = Neighbours(known, features)
    for text in asked:
        cosines = [
            sum(map(float.__mul__, vector(other), vector(text)))
            / (math.hypot(*vector(other)) * math.hypot(*vector(text)))
            for other in known
        ]
        found = neighbours.nearest(text)
        assert cosines[found] == pytest.approx(max(cosines))
        second = neighbours.nearest(text, but=[found])
        assert second != found and cosines[second] == pytest.approx(max([*cosines[:found], *cosines[found + 1 :]]))


def test_of_equals_the_first_and_without_a_common_feature_too():
    neighbours = Neighbours(["a b", "c d", "C, d!"], words)
    assert [neighbours.nearest(text) for text in ("d c", "z", "D", "")] == [1, 0, 1, 0]
    assert neighbours.nearest("d c", but=[1]) == 2
