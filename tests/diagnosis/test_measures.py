"""The measurements of a diagnosis, by hand on small cases."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from fairseq.data import Dictionary

from s2s_plugin.diagnosis.ablation import NONE, OTHER, ablate_signals, ablate_texts, half_away
from s2s_plugin.diagnosis.alignment import compare_attention, read_links
from s2s_plugin.diagnosis.domain import ngrams, read_challenge
from s2s_plugin.diagnosis.rare_words import group_tokens, joined_attention, word_fates
from s2s_plugin.diagnosis.subject import overlap, sample
from s2s_plugin.errors import UserError
from s2s_plugin.inference.hypothesis import Hypothesis
from s2s_plugin.report.words import length_ratio

SOURCE = ("▁the", "▁old", "▁hou", "se", "</s>")


def hypothesis(tokens: str, *rows: list[float]) -> Hypothesis:
    return Hypothesis(target_tokens=[*tokens.split(), "</s>"], attention=[*rows, [0, 0, 0, 0, 1.0]])


def test_subwords_are_joined_to_words():
    assert group_tokens(SOURCE[:-1]) == [("the", [0]), ("old", [1]), ("house", [2, 3])]
    assert group_tokens(["HH", "AH"]) == [("HH", [0]), ("AH", [1])]
    assert group_tokens(["se", "▁a"]) == [("se", [0]), ("a", [1])]


def test_attention_of_words_sums_over_the_source_and_averages_over_the_target():
    words, weights = joined_attention(
        SOURCE, hypothesis("▁das ▁Ha us", [0.7, 0.1, 0.1, 0.1, 0], [0.1, 0.1, 0.5, 0.3, 0], [0, 0.2, 0.2, 0.6, 0])
    )
    assert words == ["das", "Haus"]
    np.testing.assert_allclose(weights, [[0.7, 0.1, 0.2], [0.05, 0.15, 0.8]])


def test_a_source_word_is_right_wrong_or_dropped():
    output = hypothesis("▁das ▁Auto", [0.9, 0, 0.1, 0, 0], [0, 0, 0.5, 0.5, 0])
    fates = dict(word_fates(SOURCE, output, Counter(["das", "alte", "Haus"])))
    assert fates == {"the": "right", "old": "dropped", "house": "wrong"}
    assert dict(word_fates(SOURCE, Hypothesis(), Counter())) == dict.fromkeys(["the", "old", "house"], "dropped")


def test_alignment_error_rate_is_och_and_neys():
    attended = [(["das", "Haus"], np.array([[0.7, 0.1, 0.2], [0.5, 0.1, 0.4]]))]  # both attend to the first
    finding = compare_attention(attended, [{(0, 0), (2, 1)}], [{(0, 0), (2, 1), (1, 1)}], "")
    (row,) = finding.rows
    assert row == {"aligned words": 2, "match %": 50.0, "mass %": 60.0, "AER %": 50.0}  # 1 - (1 + 1) / (2 + 2)
    assert "50% of the aligned words" in finding.verdict and "should not be read" in finding.verdict


def test_links_are_pairs_of_numbers():
    assert read_links("0-1 2-3 ") == {(0, 1), (2, 3)}
    with pytest.raises(UserError, match="must be lines such as 0-0 1-2, got 0:1"):
        read_links("0:1")


def test_ngrams_are_of_words():
    assert ngrams("A b, c d e.") == [("A", "b", "c", "d"), ("b", "c", "d", "e")]
    assert ngrams("a b c") == []


def test_a_further_test_set_is_two_parallel_files(tmp_path):
    for name, text in (("a.en", "one\ntwo\n"), ("a.de", "eins\nzwei"), ("b.de", "eins\n")):
        (tmp_path / name).write_text(text)
    assert read_challenge(f"a={tmp_path}/a.en:{tmp_path}/a.de") == ("a", ["one", "two"], ["eins", "zwei"])
    with pytest.raises(UserError, match=r"a\.en has 2 lines and .*b\.de 1; they must be parallel"):
        read_challenge(f"b={tmp_path}/a.en:{tmp_path}/b.de")
    for text in ("a.en:a.de", "a=a.en"):
        with pytest.raises(UserError, match=f"must be a list of name=source:reference, got {text}"):
            read_challenge(text)


def test_lengths_are_compared_with_the_closest_reference():
    assert length_ratio(["a b", ""], [["a b c d", "a"], ["a"]]) == pytest.approx(2 / 2)


def test_scores_overlap_if_their_intervals_do():
    assert overlap({"score": 1, "interval": [0, 2]}, {"score": 3, "interval": [2, 4]})
    assert not overlap({"score": 1, "interval": [0, 2]}, {"score": 3, "interval": [2.1, 4]})
    assert overlap({"score": 10.0}, {"score": 10.9}) and not overlap({"score": 10.0}, {"score": 11.0})


@pytest.mark.parametrize("count", [1, 3, 10, 99])
def test_a_sample_is_spread_evenly(count: int):
    chosen = sample(range(10), count)
    steps = {after - before for before, after in itertools.pairwise(chosen)}
    assert len(chosen) <= count and chosen[0] == 0 and len(steps) <= 1


def test_ablated_texts_keep_their_tag_factors_and_end():
    dictionary = Dictionary()
    texts = ["<2de> 0 ▁the DET ▁hou NOUN se NOUN ▁is VERB ▁ol ADJ d ADJ", "<2ko> 0 ▁go VERB"]
    sources = [dictionary.encode_line(text, append_eos=True).long() for text in texts]

    def spelled(tensors: list[torch.Tensor]) -> list[list[str]]:
        return [[dictionary[number] for number in source.tolist()] for source in tensors]

    ablated = {name: spelled(each) for name, each in ablate_texts(sources, dictionary, group=2, head=2).items()}
    own = ablated.pop("own")
    assert ablated[NONE] == [["<2de>", "0", "</s>"], ["<2ko>", "0", "</s>"]]
    assert ablated[OTHER] == [[*own[0][:2], *own[1][2:]], [*own[1][:2], *own[0][2:]]]
    first, second = ablated["own, words shuffled"]
    assert second == own[1] and first != own[0] and sorted(first) == sorted(own[0])
    assert first[:2] == own[0][:2] and first[-1] == "</s>"
    assert "▁hou NOUN se NOUN" in " ".join(first) and "▁ol ADJ d ADJ" in " ".join(first)


def test_ablated_signals_are_silent_or_of_another_item():
    signals = [torch.full((length, 3), float(length)) for length in (2, 3, 4)]
    ablated = ablate_signals(signals)
    assert [len(signal) for signal in ablated[OTHER]] == [3, 4, 2]
    assert [signal.shape for signal in ablated[NONE]] == [signal.shape for signal in signals]
    assert all(signal.eq(0).all() for signal in ablated[NONE])
    assert sorted(map(id, half_away(signals))) == sorted(map(id, signals))
