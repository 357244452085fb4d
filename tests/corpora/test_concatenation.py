"""Training pairs that are joined from others."""

from __future__ import annotations

from s2s_plugin.corpora.concatenation import concatenated

PAIRS = [(f"s{number}", f"t{number}") for number in range(50)]


def test_each_pair_begins_a_new_one_of_2_to_n_different_parts():
    joined = concatenated(PAIRS, 4)
    assert joined == concatenated(PAIRS, 4)  # the same in every preparation
    assert len(joined) == len(PAIRS)
    counts = set()
    for (first, _), (source, target) in zip(PAIRS, joined, strict=True):
        parts = source.split(" ")
        assert parts[0] == first
        assert target.split(" ") == [part.replace("s", "t") for part in parts]
        counts.add(len(parts))
    assert counts == {2, 3, 4}
    assert len({source for source, _ in joined}) == len(joined)


def test_too_few_pairs_give_none():
    assert concatenated(PAIRS[:3], 4) == []
