"""Cleaning, the split and the files of a parallel corpus."""

from __future__ import annotations

import hashlib
import json

import pytest

from s2s_plugin.corpora import writing
from s2s_plugin.corpora.cleaning import Pair, clean_pairs, clean_text, has_length
from s2s_plugin.corpora.splits import check_fractions, dedup, split_by_group, split_name
from s2s_plugin.corpora.writing import write_corpus, write_manifests
from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("  a\tb \u00a0c\u2028d\u0085e ", "a b c d e"),
        ("nul\x00 bell\x07 zero\u200bwidth \ufeffbom", "nul bell zerowidth bom"),
        ("u\u0308ber", "über"),
        ("\u1112\u1161\u11ab\u1100\u1173\u11af", "한글"),
        ("don’t „sagt“ er", 'don\'t "sagt" er'),
    ],
)
def test_clean_text(text, cleaned):
    assert clean_text(text) == cleaned


def test_clean_text_can_keep_quotes():
    assert clean_text("„so“", plain_quotes=False) == "„so“"


def test_clean_pairs_drops_empty_sides():
    assert clean_pairs([("a", "b"), ("\u200b ", "b"), ("a", "")]) == [("a", "b")]


def test_dedup_keeps_the_first_and_other_translations():
    pairs = [("Come on!", "Komm!"), ("come on", "komm"), ("Come on!", "Los!"), ("-", "-"), ("+", "+")]
    assert dedup(pairs) == [("Come on!", "Komm!"), ("Come on!", "Los!"), ("-", "-"), ("+", "+")]


@pytest.mark.parametrize(
    ("pair", "fits"),
    [
        (("a b", "c d"), True),
        (("a", "c d"), False),
        (("a b", "c d e f g h"), False),
        (("a b", "c d e f"), True),
        (("a b", "c d e f g"), False),
    ],
)
def test_right_length(pair, fits):
    assert has_length(pair, 2, 5, max_ratio=2.0) is fits


def items(count: int) -> list[tuple[str, Pair]]:
    """Groups of three pairs; every seventh line also stands in another group, in other case and spelling."""
    made = [(f"group {i // 3}", (f"source {i}", f"target {i}")) for i in range(count)]
    twins = [(f"other {i}", (f"SOURCE  {i}", f"another {i}")) for i in range(0, count, 7)]
    return made + twins + [(f"third {i}", (f"one more {i}", f"TARGET  {i}")) for i in range(0, count, 5)]


def test_split_does_not_leak():
    splits = split_by_group(items(3000), valid=0.1, test=0.1)
    sides = {
        name: [{" ".join(pair[side].casefold().split()) for pair in pairs} for side in (0, 1)]
        for name, pairs in splits.items()
    }
    assert min(map(len, splits.values())) > 100
    for one, other in (("train", "valid"), ("train", "test"), ("valid", "test")):
        assert not sides[one][0] & sides[other][0]
        assert not sides[one][1] & sides[other][1]
    for name in ("valid", "test"):
        assert len(sides[name][0]) == len(sides[name][1]) == len(splits[name])


def test_split_keeps_groups_together_and_about_the_requested_size():
    given = [(f"group {i // 3}", (f"source {i}", f"target {i}")) for i in range(30_000)]
    splits = split_by_group(given, valid=0.05, test=0.1)
    assert sum(map(len, splits.values())) == 30_000
    groups = [{int(src.split()[1]) // 3 for src, _ in splits[name]} for name in SPLITS]
    assert sum(map(len, groups)) == len(set().union(*groups)) == 10_000
    assert len(groups[1]) == pytest.approx(500, rel=0.15)
    assert len(groups[2]) == pytest.approx(1000, rel=0.15)


def test_split_of_a_group_does_not_depend_on_the_rest():
    """The names are fixed: another hash, or another platform's, would move them."""
    where = {name: split_name(name, valid=0.2, test=0.2) for name in ("a", "b", "c", "d", "e", "f")}
    digests = {name: int(hashlib.sha256(name.encode()).hexdigest()[:12], 16) / 16**12 for name in where}
    assert where == {n: "test" if x < 0.2 else "valid" if x < 0.4 else "train" for n, x in digests.items()}
    assert len(set(where.values())) > 1


@pytest.mark.parametrize(("valid", "test"), [(0.5, 0.5), (-0.1, 0.1), (1.0, 0.0)])
def test_bad_fractions_are_named(valid, test):
    with pytest.raises(UserError, match=f"got {valid} and {test}"):
        check_fractions(valid, test)


SPLITS = {"train": [("one two", "eins zwei"), ("three", "drei")], "valid": [("a", "b")], "test": [("c", "d")]}


def test_write_corpus(tmp_path):
    out = write_corpus(tmp_path / "new" / "toy", SPLITS, ("en", "de"), {"name": "toy", "license": "CC0"})
    assert (out / "train.en").read_bytes() == b"one two\nthree\n"
    assert (out / "train.de").read_bytes() == b"eins zwei\ndrei\n"
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["name"] == "toy"
    assert manifest["languages"] == ["en", "de"]
    assert len(manifest["files"]) == 6
    assert manifest["files"]["train.de"] == {
        "lines": 2,
        "sha256": hashlib.sha256(b"eins zwei\ndrei\n").hexdigest(),
    }
    assert [path.name for path in out.parent.iterdir()] == ["toy"]


def test_write_corpus_replaces_a_corpus_but_nothing_else(tmp_path):
    for text in ("b", "c"):
        write_corpus(tmp_path / "toy", {**SPLITS, "valid": [("a", text)]}, ("en", "de"), {})
    assert (tmp_path / "toy" / "valid.de").read_text() == "c\n"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(UserError, match="mine exists and is not a prepared corpus"):
        write_corpus(tmp_path / "mine", SPLITS, ("en", "de"), {})
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_failed_write_leaves_the_old_corpus(tmp_path, monkeypatch):
    write_corpus(tmp_path / "toy", SPLITS, ("en", "de"), {})
    monkeypatch.setattr(writing, "write_json", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_corpus(tmp_path / "toy", {**SPLITS, "valid": [("x", "y")]}, ("en", "de"), {})
    assert (tmp_path / "toy" / "valid.de").read_text() == "b\n"


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "the valid split is empty"),
        ([("a", "b"), ("c", "d\u2028e")], r"valid\.de:2"),
        ([("", "b")], r"valid\.en:1"),
    ],
)
def test_write_corpus_checks_what_it_writes(tmp_path, pairs, message):
    with pytest.raises(UserError, match=message):
        write_corpus(tmp_path / "toy", {**SPLITS, "valid": pairs}, ("en", "de"), {})
    assert not (tmp_path / "toy").exists()


def test_manifests_appear_whole_or_not_at_all(tmp_path):
    items = [Item("a", tmp_path / "a.wav", ("one",))]
    out = tmp_path / "out"
    with pytest.raises(UserError, match="test split is empty"):
        write_manifests(out, "audio", {"train": items, "test": []}, {})
    assert not out.exists()
    with pytest.raises(UserError, match="2 items with 1 different ids"):
        write_manifests(out, "audio", {"train": items * 2}, {})
    write_manifests(out, "audio", {"train": items, "test": items}, {"name": "x"})
    about = json.loads((out / "manifest.json").read_text())
    assert about["name"] == "x" and about["modality"] == "audio" and about["files"]["train.tsv"]["items"] == 1
    write_manifests(out, "audio", {"train": items}, {"name": "y"})  # an earlier one is replaced
    assert not (out / "test.tsv").exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious.txt").write_text("mine")
    with pytest.raises(UserError, match="is not a prepared corpus"):
        write_manifests(other, "audio", {"train": items}, {})
    assert (other / "precious.txt").read_text() == "mine"


def test_references_are_written_beside_the_targets(tmp_path):
    splits = {name: [(f"{name} one", "1"), (f"{name} two", "2")] for name in SPLITS}
    out = write_corpus(tmp_path / "out", splits, ("a", "b"), {}, {"test": [["x y", "z"], ["2"]]})
    assert (out / "test.references.tsv").read_text() == "x y\tz\n2\n"
    assert json.loads((out / "manifest.json").read_text())["files"]["test.references.tsv"]["lines"] == 2
    for bad in ([], ["x", ""], ["a\tb"]):
        with pytest.raises(UserError, match=r"test\.references\.tsv:2: text must be non-empty and one line"):
            write_corpus(tmp_path / "bad", splits, ("a", "b"), {}, {"test": [["x"], bad]})
    assert not (tmp_path / "bad").exists()
