"""Texts that are too long: one message names all that must be raised, and what it says works when it is pasted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command_line import call
from mistakes import mistake

LETTERS = [f"{a}{b} {c}" for a in "abcdef" for b in "abcdef" for c in "ab"]
LONG = "abcdef" * 6  # 36 tokens of one letter, with the space at its beginning 37
SETTINGS = (
    "app=nmt model=tiny subword.kind=char subword.size=30 data.source=my.en data.target=my.de data.max_length=20 "
    "dataset.max_tokens=30 task.max_source_positions=25 task.max_target_positions=21 optimization.max_update=1 "
    "data.test_source=test.en data.test_target=test.de"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A line of the test set is too long, on both sides, and one of the training set on its target side."""
    for name, lines in (("my", [*LETTERS, "short"]), ("test", ["a b", LONG, "b a"])):
        (tmp_path / f"{name}.en").write_text("".join(f"{line}\n" for line in lines))
        upper = [LONG + "ab" if line == "short" else line.upper() for line in lines]
        (tmp_path / f"{name}.de").write_text("".join(f"{line}\n" for line in upper))
    return tmp_path


def pasted(message: str, way: str) -> str:
    match = re.search(rf"{way} ((?:\S+=\S+ ?)+)", message)
    assert match is not None, message
    return match[1].replace(",", "")


def test_what_to_raise_is_named_at_once(folder: Path):
    message = mistake(folder, f"s2s run {SETTINGS}", "test.en:2: ", "data.max_length=20 tokens, got up to 37; set ")
    options = pasted(message, "set")
    names = ["data.max_length", "task.max_source_positions", "task.max_target_positions", "dataset.max_tokens"]
    assert [option.partition("=")[0] for option in options.split()] == names
    said = call(f"s2s prepare {SETTINGS} {options}", cwd=folder).stderr
    assert "1 longer than 37 tokens (data.max_length): my.en:73" in said
    assert "to keep long ones: set data.max_length=39 task.max_target_positions=40 dataset.max_tokens=40\n" in said
    narrow = f"s2s train {SETTINGS} {options} name=narrow dataset.max_tokens_valid=4"
    mistake(folder, narrow, "dataset.max_tokens_valid must be at least 6, the longest side in valid, got 4")
    said = call(f"s2s train {SETTINGS} {options}", cwd=folder).stderr
    assert re.search(r"largest batch: \d+ x \d+ source and \d+ target steps, about \d+ MB\n", said)


def test_a_left_out_line_keeps_its_place(folder: Path):
    for name, line in (("test.en", "x" * 20_001), ("test.de", "A")):
        with (folder / name).open("a") as file:
            file.write(f"{line}\n")
    said = " ".join(call(f"s2s prepare {SETTINGS} data.on_bad_item=skip", cwd=folder).stderr.split())
    assert "1 held-out longer than 20,000 characters, kept: test.en:4 " in said
    assert "1 held-out with a side longer than 20 tokens (data.max_length), not read, kept: test.en:2 " in said
    prepared = next((folder / "data-bin").glob("files.en-de.*"))
    read = {name: (prepared / name).read_text().split("\n")[:-1] for name in ("text/test.en", "text/test.de")}
    assert read == {"text/test.en": ["a b", "", "b a", ""], "text/test.de": ["A B", LONG.upper(), "B A", "A"]}
    assert (prepared / "pieces/test.de").read_text().split("\n")[1] == ""


def test_the_hint_of_training_does_not_lead_back(folder: Path):
    options = f"{SETTINGS} data.max_length=50"
    call(f"s2s prepare {options}", cwd=folder)
    message = mistake(
        folder,
        f"s2s train {options}",
        *("dataset.max_tokens must be at least 40, got 30", "task.max_source_positions must be at least 38, got 25"),
        "task.max_target_positions must be at least 40, got 21",
    )
    for way in ("set", "leave out longer ones by"):
        chosen = f"{options} name={way.split()[0]} {pasted(message, way)}"
        call(f"s2s prepare {chosen}", cwd=folder)
        mistake(folder, f"s2s generate {chosen}", "no checkpoint")  # and nothing about lengths


def test_the_beginning_of_long_sources(folder: Path):
    (folder / "test.de").write_text("A B\nLONG\nB A\n")
    message = mistake(folder, f"s2s prepare {SETTINGS}", "task.truncate_source=true")
    options = f"{SETTINGS} {pasted(message, 'read the beginning of long sources by')}"
    call(f"s2s prepare {options}", cwd=folder)
    mistake(folder, f"s2s generate {options}", "no checkpoint")
