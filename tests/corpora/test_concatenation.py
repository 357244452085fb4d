"""Training pairs that are joined from others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import call

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


def test_a_preparation_with_joined_pairs(small_settings: str, tmp_path: Path):
    done = call(f"s2s prepare {small_settings} data.concatenate=2", cwd=tmp_path)
    (summary,) = (tmp_path / "data-bin").glob("*/prepared.json")
    pairs = json.loads(summary.read_text())["pairs"]["train"]
    assert f"{pairs // 2:,} training pairs made by joining others" in " ".join(done.stderr.split())
    lines = (summary.parent / "text" / "train.en").read_text().splitlines()
    assert len(lines) == pairs
    assert all(joined.startswith(f"{line} ") for line, joined in zip(lines, lines[pairs // 2 :], strict=False))


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ("data.concatenate=0", "data.concatenate must be at least 1, got 0"),
        ("data.concatenate=2 data.retrieval=true", "data.concatenate and data.retrieval or several directions are"),
    ],
)
def test_what_excludes_joined_pairs(small_settings: str, tmp_path: Path, options: str, rule: str):
    done = call(f"s2s prepare {small_settings} {options}", cwd=tmp_path, check=False)
    assert done.returncode == 2 and rule in " ".join(done.stderr.split())
