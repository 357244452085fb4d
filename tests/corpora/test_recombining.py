"""Recombination: pairs by hand, and SCAN, where all new pairs are known."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import call
from recipes import read, sample

from s2s_plugin.corpora.recipe import load_recipe
from s2s_plugin.corpora.recombining import recombine
from s2s_plugin.corpora.splits import SPLITS


def test_a_word_is_used_where_one_like_it_is():
    pairs = [("walk", "W"), ("jump", "J"), ("walk left and walk", "L W W"), ("run left", "L R")]
    assert recombine(pairs, 10) == [("jump left and jump", "L J J")]


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [("walk", "W"), ("run left", "L R")],  # nothing stands where another does
        [("walk", "W"), ("go", "W"), ("walk left", "L W")],  # both words have to differ
        [("walk", "W"), ("jump", "J"), ("walk left", "L W"), ("jump left", "X")],  # all sources are there
        [("walk", "W"), ("jump", "J"), ("walk " * 40, "W " * 40)],  # too long
    ],
)
def test_nothing_follows(pairs: list[tuple[str, str]]):
    assert recombine(pairs, 10) == []


def test_as_many_as_wanted_and_always_the_same():
    pairs = [(word, word.upper()) for word in "abcdefgh"] + [("a b and c", "A B C")]
    made = recombine(pairs, 20)
    assert len(set(made)) == 20
    assert made == recombine(pairs, 20)
    assert all(target == source.replace(" and", "").upper() for source, target in made)


def scan_pairs(split: str, folder: Path) -> dict[str, list[tuple[str, str]]]:
    out = load_recipe("scan").prepare(folder / split, "en", "actions", folder, from_dir=sample("scan"), split=split)
    sides = {each: (read(out, f"{each}.en"), read(out, f"{each}.actions")) for each in SPLITS}
    return {each: list(zip(*lines, strict=True)) for each, lines in sides.items()}


@pytest.mark.parametrize("split", ["addprim_jump", "template_around_right"])
def test_what_it_makes_of_scan_is_true(split: str, tmp_path: Path):
    """The simple split has all commands, each with its one meaning."""
    truth = dict(pair for pairs in scan_pairs("simple", tmp_path).values() for pair in pairs)
    train = scan_pairs(split, tmp_path)["train"]
    made = recombine(train, 300)
    assert len(made) == 300
    assert all(truth[source] == target for source, target in made)
    assert not {source for source, _ in made} & {source for source, _ in train}


def test_own_files(tmp_path: Path):
    pairs = [(f"{a} {b}", f"{b.upper()} {a.upper()}") for a in "abcdefghij" for b in "uvwxyz" if (a, b) != ("a", "u")]
    for side, suffix in enumerate(("en", "de")):
        (tmp_path / f"my.{suffix}").write_text("".join(f"{pair[side]}\n" for pair in pairs))
    done = call(
        "s2s prepare app=nmt data.source=my.en data.target=my.de data.held_out=3 data.recombine=50 subword.kind=char",
        cwd=tmp_path,
    )
    assert "training pairs made by recombination" in done.stderr + done.stdout
