"""Lines that are read in windows."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import call

from s2s_plugin.inference.long_lines import cut, join


def test_windows_overlap_by_a_third_or_end_with_a_sentence():
    assert cut("a b c d e f", 6) == [("a b c d e f", 0)]
    assert cut("a b c d e f g h i", 6) == [("a b c d e f", 0), ("e f g h i", 2)]
    assert cut("a b c d. e f g h? i j k", 6) == [("a b c d.", 0), ("e f g h?", 0), ("i j k", 0)]
    assert cut("a. b c d e f g", 6) == [("a. b c d e f", 0), ("e f g", 2)]  # not in the second half
    assert cut("一二三四五六。七八", 6) == [("一二三四五六", 0), ("五六。七八", 2)]


@pytest.mark.parametrize("size", [4, 5, 9, 30])
@pytest.mark.parametrize("line", ["a b c d e f g h i j k l m n o p q", "a b c. d e f g h i j k l m n. o p q", "a" * 20])
def test_windows_without_what_they_have_in_common_are_the_line(line: str, size: int):
    space = " " if " " in line else ""
    parts = [((text.split() if space else list(text)), overlap) for text, overlap in cut(line, size)]
    assert max(len(words) for words, _ in parts) <= size
    assert space.join(word for words, overlap in parts for word in words[overlap:]) == line


def test_outputs_are_joined_where_they_agree():
    assert join(["A B C D E", "D E F G"], [0, 2]) == "A B C D E F G"
    assert join(["A B C D X", "C D E F"], [0, 3]) == "A B C D E F"  # what follows the agreement is the second's
    assert join(["A B C D", "W X Y Z"], [0, 2]) == "A B C X Y Z"
    assert join(["A B", "A B"], [0, 0]) == "A B A B"
    assert join(["甲乙丙丁", "丙丁戊"], [0, 2]) == "甲乙丙丁戊"
    assert join(["", "A B", ""], [0, 2, 2]) == "A B"


def test_translate_in_windows(small_model: Path):
    def translate(*words: str, check: bool = True):
        run = f"run_dir={small_model}/runs/nmt/default"
        return call(["s2s", "translate", "app=nmt", run, *words], small_model, check=check)

    line = "a b c d e f g h a b c d"
    windows, overlaps = zip(*cut(line, 6), strict=True)
    assert len(windows) == 3
    outputs = translate(*windows, "a b c").stdout.splitlines()
    done = translate("window=6", line, "", "a b c")
    assert done.stdout.splitlines() == [join(outputs[:3], overlaps), "", outputs[3]]
    for option, rule in (("window=2", "at least 4 words, got 2"), ("window=6 generation.nbest=2", "generation.nbest")):
        done = translate(*option.split(), line, check=False)
        assert done.returncode == 2 and rule in done.stderr.splitlines()[-1]
