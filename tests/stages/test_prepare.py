"""What prepare makes of further pairs, of symbols that stay whole, and of subwords that change."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from command_line import call

PAIRS = [(f"<2de> word{i} of {i * 7}", f"wort{i} von {i * 7}") for i in range(400)]
EXTRA = [("a new one", "ein neues"), ("<2de> another word9 here", "noch ein wort9 hier")]
OWN = (
    "app=nmt data=files data.source=my.en data.target=my.de data.extra_source=extra.en data.extra_target=extra.de "
    "subword.size=80 'subword.special_tokens=[\"<2de>\"]'"
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> tuple[Path, Path, str]:
    """The folder with the user's files, that of the prepared data, and what was printed."""
    folder = tmp_path_factory.mktemp("prepare")
    for side, suffix in enumerate(("en", "de")):
        (folder / f"my.{suffix}").write_text("".join(f"{pair[side]}\n" for pair in PAIRS))
    call("s2s prepare app=nmt data=files data.source=my.en data.target=my.de subword.size=80", cwd=folder)
    first = next((folder / "data-bin").glob("files.*"))
    held_out = [(first / "text" / f"test.{suffix}").read_text().splitlines()[0] for suffix in ("en", "de")]
    pairs = [*EXTRA, (held_out[0], "etwas anderes"), ("something else", held_out[1])]
    for side, suffix in enumerate(("en", "de")):
        (folder / f"extra.{suffix}").write_text("".join(f"{pair[side]}\n" for pair in pairs))
    printed = call(f"s2s prepare {OWN}", cwd=folder).stderr
    return folder, next(path for path in (folder / "data-bin").glob("files.*") if path != first), printed


def test_further_pairs_are_for_training_alone(prepared):
    _, data, printed = prepared
    splits = {split: (data / "text" / f"{split}.en").read_text().splitlines() for split in ("train", "valid", "test")}
    assert splits["train"][-2:] == [source for source, _ in EXTRA]
    assert len(splits["train"]) + len(splits["valid"]) + len(splits["test"]) == len(PAIRS) + len(EXTRA)
    assert "2 extra training pairs kept, 2 held-out ones discarded" in printed
    assert json.loads((data / "prepared.json").read_text())["pairs"]["train"] == len(splits["train"])


def test_further_pairs_may_be_tagged(prepared):
    """After the pairs of held-out sets have been found among them; a tag of special_tokens stays whole."""
    folder, before, _ = prepared
    done = call(f"s2s prepare {OWN} 'data.extra_tag=<2de>'", cwd=folder)
    assert "2 extra training pairs kept, 2 held-out ones discarded" in done.stderr
    data = next(path for path in folder.glob("data-bin/files.*") if path.name in done.stderr)
    train = (data / "text/train.en").read_text().splitlines()
    assert train[-2:] == [f"<2de> {source}" for source, _ in EXTRA]
    assert train[:-2] == (before / "text/train.en").read_text().splitlines()[:-2]
    assert "<2de>" in (data / "pieces/train.en").read_text().splitlines()[-2].split()
    done = call(f"s2s prepare {OWN} 'data.extra_tag=two words'", cwd=folder, check=False)
    assert done.returncode == 2 and "data.extra_tag must be one word, got 'two words'" in done.stderr


def test_a_tag_is_one_symbol(prepared):
    _, data, _ = prepared
    assert all("<2de>" in line.split() for line in (data / "pieces" / "test.en").read_text().splitlines())


def test_own_held_out_files_that_leak_are_named(prepared):
    folder, _, _ = prepared
    (folder / "held.en").write_text("".join(f"{source}\n" for source, _ in PAIRS[:5]))
    (folder / "held.de").write_text("".join(f"{target}\n" for _, target in PAIRS[:5]))
    own = f"{OWN} data.test_source=held.en data.test_target=held.de"
    said = " ".join(call(f"s2s prepare {own}", cwd=folder).stderr.split())
    assert "5 training pairs overlap your own held-out files (5 of 5 lines): scores will be inflated" in said
    done = call(f"s2s prepare {own} data.drop_overlap=true", cwd=folder)
    assert "overlap your own" not in done.stderr
    assert re.search(r"[5-9] with a side that is held out: my\.en:1, 2, 3, \.\.\.\n", done.stderr)


def test_more_characters_than_symbols(tmp_path: Path):
    """The rarest become unknown, the others are spelt; before, SentencePiece refused."""
    for side, first in (("en", 0x4E00), ("de", 0x5E00)):
        words = ("".join(chr(first + (i * i + k * 7) % 700) for k in range(6)) for i in range(300))
        (tmp_path / f"my.{side}").write_text("".join(f"{word} oft\n" for word in words), encoding="utf-8")
    files = "data=files data.source=my.en data.target=my.de"
    done = call(f"s2s prepare app=nmt {files} subword.size=400", cwd=tmp_path)
    said = re.search(r"([\d,]+) different characters do not fit into 400 tokens: the rarest ([\d,]+) will", done.stderr)
    assert said is not None and int(said[1].replace(",", "")) - int(said[2].replace(",", "")) == 300
    (data,) = (tmp_path / "data-bin").glob("files.en-de.????????")
    spelt = [line.split() for line in (data / "pieces" / "train.en").read_text(encoding="utf-8").splitlines()]
    known = {line.split(" ")[0] for line in (data / "dict.en.txt").read_text(encoding="utf-8").splitlines()}
    share = sum(piece in known for line in spelt for piece in line) / sum(map(len, spelt))
    assert 0.2 < share < 0.95


@pytest.mark.slow
def test_training_on_other_subwords_every_epoch(prepared):
    folder, _, _ = prepared
    tiny = "model=tiny dataset.max_tokens=2000 optimization.max_update=12"
    losses = []
    for name, sampling in (("as_cut", 0.0), ("sampled", 0.2)):
        call(f"s2s train {OWN} {tiny} name={name} task.subword_sampling={sampling}", cwd=folder)
        log = (folder / "runs" / "nmt" / name / "log.txt").read_text()
        losses.append([line for line in log.splitlines() if '"train_loss"' in line])
    assert losses[0] != losses[1]
    commands = (folder / "runs/nmt/sampled/commands.txt").read_text()
    assert "--subword-sampling 0.2" in commands


def test_sampling_of_what_cannot_be_cut_again_is_refused(prepared):
    folder, _, _ = prepared
    done = call(f"s2s run {OWN} model=tiny subword.copy_slots=2 task.subword_sampling=0.2", cwd=folder, check=False)
    assert done.returncode == 2
    assert "task.subword_sampling" in done.stderr
