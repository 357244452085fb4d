"""The user's own pairs: none is lost unsaid, nothing held out is trained on, held-out files keep their lines."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from command_line import call

from s2s_plugin.corpora.holding_out import MAX_HELD_OUT, hold_out
from s2s_plugin.corpora.splits import SPLITS, Splits, split_name
from s2s_plugin.text.normalize import match_key

METRICS = "s2s_bleu,s2s_chrf,s2s_ter,s2s_wer,s2s_cer,s2s_rougel,s2s_exact,s2s_cider,s2s_distinct1,s2s_bleu1"
SETTINGS = f"app=nmt name=x model=tiny subword.size=120 subword.kind=char dataset.max_tokens=1000 metrics=[{METRICS}]"


def sides(splits: Splits, side: int) -> list[set[str]]:
    return [{match_key(pair[side]) for pair in splits[split]} for split in SPLITS]


def assert_disjoint(parts: list[set[str]]) -> None:
    assert sum(map(len, parts)) == len(set().union(*parts))


CORPORA = {
    "10 sources a target": [(f"source {n}", f"target {n // 10}") for n in range(5000)],
    "10 targets a source": [(f"source {n // 10}", f"Target {n}.") for n in range(5000)],
    "chains": [(f"source {n // 2}", f"target {(n + 1) // 2}" if n % 20 else f"other {n}") for n in range(5000)],
    "groups of many sizes": [(f"source {n}", f"target {int(n**0.7)}") for n in range(20_000)],
}


@pytest.mark.parametrize("name", CORPORA)
def test_whole_groups_are_held_out_and_nothing_is_lost(name: str):
    pairs = CORPORA[name]
    splits = hold_out(pairs, 1000)
    assert sorted(pair for split in SPLITS for pair in splits[split]) == sorted(pairs)
    for side in (0, 1):
        assert_disjoint(sides(splits, side))
    wanted = min(1000, MAX_HELD_OUT * len(pairs))
    for split in SPLITS[1:]:
        assert len(splits[split]) == pytest.approx(wanted, rel=0.35)


@pytest.mark.parametrize("labels", [1, 2, 5])
def test_labels_may_repeat(labels: int, capsys: pytest.CaptureFixture):
    pairs = [(f"source {n // 2}", f"label {n % labels}") for n in range(2000)]
    splits = hold_out(pairs, 1000)
    assert sorted(pair for split in SPLITS for pair in splits[split]) == sorted(pairs)
    assert_disjoint(sides(splits, 0))
    assert len(splits["valid"]) == pytest.approx(200, rel=0.3)
    assert "targets repeat, as labels and replies do" in capsys.readouterr().err


def test_a_pair_alone_stays_where_its_hash_puts_it():
    pairs = [(f"source {n}", f"target {n}") for n in range(3000)]
    splits = hold_out(pairs, 100)
    for split in SPLITS:
        assert all(split_name("\t".join(pair), 100 / 3000, 100 / 3000) == split for pair in splits[split])


def test_few_pairs_move_when_data_are_added():
    """Of held-out pairs, when a twentieth is added; with sets of a tenth, as of fewer than 10,000 pairs."""
    draw = random.Random(2)
    pairs = [(f"source {draw.randrange(6000)}", f"target {draw.randrange(3000)}") for _ in range(2100)]
    before, after = hold_out(pairs[:2000], 1000), hold_out(pairs, 1000)
    where = {pair: split for split in SPLITS for pair in after[split]}
    moved = [where[pair] != split for split in SPLITS[1:] for pair in before[split]]
    assert np.mean(moved) < 0.1


def test_large_groups_are_trained_on():
    """No held-out set has half of the data because one sentence is frequent."""
    pairs = [(f"source {n}", f"target {n if n > 900 else n // 90}") for n in range(1000)]
    splits = hold_out(pairs, 50)
    assert all(20 <= len(splits[split]) <= 80 for split in SPLITS[1:])


def write(folder: Path, name: str, pairs: list[tuple[str, str]]) -> str:
    for side, lang in enumerate(("en", "de")):
        (folder / f"{name}.{lang}").write_text("".join(f"{pair[side]}\n" for pair in pairs), encoding="utf-8")
    prefix = "" if name == "my" else f"{name}_"
    return f"data.{prefix}source={name}.en data.{prefix}target={name}.de"


INVISIBLE = {2: ("\u200b", "b"), 5: ("\ue000\u00ad", "\ue001"), 7: ("a b", "\u2060"), 19: ("\ufeff\u200e", "\u200b")}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[Path, str, str]:
    """A run whose held-out files have lines of which nothing can be seen, and whose training file has all sorts."""
    folder = tmp_path_factory.mktemp("own")
    letters = [f"{a} {b} {c}" for a in "abcdef" for b in "abcdef" for c in "abcde"]
    pairs = [(text, text.upper()) for text in letters]
    odd = [pairs[0], ("A B: A", "x y"), ("z \u00ad", "\u200b"), ("\u00ad\u00ad", "y"), ("w\u00ad" * 90, "w")]
    train = write(folder, "my", pairs + odd)
    held = [INVISIBLE.get(n, (f"a {n}", f"A {n}")) for n in range(20)]
    files = f"{train} {write(folder, 'valid', held)} {write(folder, 'test', held)}"
    limit = "data.max_length=80 optimization.max_update=3"
    said = call(f"s2s run {SETTINGS} {limit} {files}", cwd=folder).stderr
    return folder, files, said


def test_every_held_out_line_has_an_output(run: tuple[Path, str, str]):
    folder, _, _ = run
    prepared = next((folder / "data-bin").glob("files.en-de.*"))
    for split in ("valid", "test"):
        lines = (prepared / f"text/{split}.en").read_text(encoding="utf-8").split("\n")[:-1]
        assert len(lines) == 20
        assert [number for number, line in enumerate(lines) if not line] == [2, 19]
        assert lines[5] == "\ue000" and lines[7] == "a b"
    rows = [json.loads(line) for line in (folder / "runs/nmt/x/outputs.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["id"] for row in rows] == list(range(20))
    assert [row["source"] for row in rows][:2] == ["a 0", "a 1"]
    assert [rows[number]["hypothesis"] for number in (2, 19)] == ["", ""]
    assert len((folder / "runs/nmt/x/test.hyp").read_text(encoding="utf-8").split("\n")) == 21
    scores = json.loads((folder / "runs/nmt/x/scores.json").read_text(encoding="utf-8"))
    assert scores["sentences"] == 20


def test_translate_answers_every_line(run: tuple[Path, str, str]):
    folder, _, _ = run
    given = (folder / "test.en").read_text(encoding="utf-8")
    answers = call("s2s translate app=nmt name=x", cwd=folder, stdin=given).stdout.split("\n")[:-1]
    rows = (folder / "runs/nmt/x/outputs.jsonl").read_text(encoding="utf-8").splitlines()
    assert answers == [json.loads(row)["hypothesis"] for row in rows]


def test_the_list_of_runs_names_the_file(run: tuple[Path, str, str]):
    assert " my.en " in call("s2s list runs", cwd=run[0]).stdout


def test_one_block_says_what_goes(run: tuple[Path, str, str]):
    _, _, said = run
    block = [line.strip() for line in said[said.index("pairs read") - 10 :].splitlines()]
    assert "225 pairs read, 222 kept, 3 left out" in block
    assert "2 with an empty side: my.en:183, 184" in block
    assert "6 held-out with an empty side, kept: valid.en:3, 8, 20, ..." in block
    assert "1 longer than 80 tokens (data.max_length): my.en:185" in block


def test_nothing_is_left_of_a_file(tmp_path: Path):
    files = write(tmp_path, "my", [("\u200b", "\ufeff\u00ad")] * 30)
    done = call(f"s2s prepare {SETTINGS} {files}", cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "my.en: none of 30 pairs is usable; nothing is left of their text" in done.stderr
    assert "Traceback" not in done.stderr
