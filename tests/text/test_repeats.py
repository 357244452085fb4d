"""Repeated words as loops, and back."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from s2s_plugin.errors import UserError
from s2s_plugin.text.codec import PairCodec
from s2s_plugin.text.repeats import MARK, MAX_UNFOLDED, fold, unfold
from s2s_plugin.text.vocabulary import SubwordConfig, learn_codec


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("", ""),
        ("a", "a"),
        ("a a a", "a a a"),  # marks would be as long
        ("a a a a", "a ⟲1 ×2 ×2"),
        ("a b a b a b", "a b ⟲2 ×3"),
        (" ".join("ab" * 12), "a b ⟲2 ×2 ×2 ×3"),
        ("x " + "a " * 7 + "a b", "x a ⟲1 ×2 ×2 ×2 b"),
        ("a " * 12 + "a b " * 12, "a ⟲1 ×2 ×2 ×3 a b ⟲2 ×2 ×2 ×3"),  # not 13 a, for that is longer
    ],
)
def test_a_loop_is_written_once(text: str, folded: str):
    assert fold(text) == folded
    assert unfold(folded) == text.strip()


def test_any_words_are_restored_and_never_get_longer():
    draw = random.Random(1)
    for _ in range(300):
        words = draw.choices("ab", k=draw.randint(0, 6)) * draw.randint(1, 5) + draw.choices(
            "abc×⟲", k=draw.randint(0, 9)
        )
        text = " ".join(words)
        assert unfold(fold(text)) == text
        assert len(fold(text).split()) <= len(words)


@pytest.mark.parametrize(
    "text", ["⟲2 ×3", "a ⟲2 ×3", "a ⟲0 ×3", "×2 a", "a ⟲1", f"a ⟲1 ×{MAX_UNFOLDED + 1}", "a ⟲1" + " ×13" * 9]
)
def test_marks_without_sense_are_left_out(text: str):
    assert unfold(text) == "".join(word for word in text.split() if not MARK.fullmatch(word))


def test_the_target_is_folded_and_the_source_is_not(tmp_path: Path):
    lines = ["go go go go", "go left go left go left"]
    learn_codec(SubwordConfig(kind="word", fold_repeats=True, joint=False), tmp_path, {"en": lines, "do": lines})
    codec = PairCodec.load(tmp_path, "en", "do")
    assert codec is not None and codec.source is not None
    for line in lines:
        assert codec.encode(line).split() == [f"▁{word}" for word in line.split()]
        assert codec.encode_target(line, line).split() == [f"▁{word}" for word in fold(line).split()]
        assert codec.decode(codec.encode_target(line, line)) == line
    with pytest.raises(UserError, match="without words such as ⟲2 and ×2, got go ×2"):
        learn_codec(SubwordConfig(kind="word", fold_repeats=True), tmp_path, {"en": lines, "do": ["go ×2", "go"]})
    with pytest.raises(UserError, match="mutually exclusive"):
        learn_codec(SubwordConfig(lossless=True, fold_repeats=True), tmp_path, {"en": lines, "do": lines})
