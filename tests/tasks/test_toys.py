"""Toy tasks through fairseq's command line: what a model of this kind must learn in minutes of one core."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from command_line import call

pytestmark = pytest.mark.slow
SIZES = {"train": 10_000, "valid": 100, "test": 300}
TASKS: dict[str, Callable[[list[str]], list[str]]] = {"copy": list, "reverse": lambda word: word[::-1], "sort": sorted}
LETTERS = "abcdefghijklmnopqrst"
SEEN, UNSEEN = [f"w{n}" for n in range(300)], [f"n{n}" for n in range(100)]


def write_task(
    folder: Path, words: Callable[[random.Random, str], list[str]], task: Callable[[list[str]], Sequence[str]] = list
) -> None:
    """Different strings that ``words`` draws for a split, and what the task makes of them, as binarised data."""
    draw, seen = random.Random(1), set()
    for split, size in SIZES.items():
        lines = []
        while len(lines) < size:
            word = words(draw, split)
            if tuple(word) not in seen:
                seen.add(tuple(word))
                lines.append(word)
        for suffix, function in (("src", list), ("tgt", task)):
            (folder / f"{split}.{suffix}").write_text("".join(" ".join(function(line)) + "\n" for line in lines))
    symbols = sorted({symbol for word in seen for symbol in word})
    (folder / "symbols").write_text("".join(f"{symbol} 1\n" for symbol in symbols))
    prefixes = " ".join(f"--{split}pref {split}" for split in SIZES)
    dictionaries = "--srcdict symbols --tgtdict symbols"
    call(f"fairseq-preprocess -s src -t tgt {dictionaries} --destdir bin --workers 1 {prefixes}", cwd=folder)


def accuracy(folder: Path, updates: int, options: str) -> float:
    """Percent of test strings that a model writes without a mistake."""
    run = folder / re.sub(r"\W+", "_", options)
    call(
        f"fairseq-train {folder}/bin --user-dir s2s_plugin --task s2s --arch s2s --cpu "
        "--encoder-embed-dim 64 --encoder-hidden-size 128 --decoder-embed-dim 64 --decoder-hidden-size 128 "
        "--dropout 0.1 --criterion s2s_cross_entropy --label-smoothing 0.1 --optimizer adam --lr 0.002 "
        f"--lr-scheduler polynomial_decay --warmup-updates 200 --total-num-update {updates} --max-update {updates} "
        "--clip-norm 1.0 --batch-size 128 --eval-metric exact "
        f"--best-checkpoint-metric exact --maximize-best-checkpoint-metric --validate-interval-updates 100 "
        f"--num-workers 0 --no-epoch-checkpoints --save-dir {run} {options}",
        timeout=900,
    )
    output = call(
        f"fairseq-generate {folder}/bin --user-dir s2s_plugin --task s2s --cpu --scoring s2s_exact "
        f"--path {run}/checkpoint_best.pt"
    ).stdout
    return float(re.findall(r"exact = ([\d.]+)", output)[-1])


@pytest.mark.parametrize("task", TASKS)
def test_99_percent_of_unseen_strings(tmp_path: Path, task: str):
    write_task(tmp_path, lambda draw, _: draw.choices(LETTERS, k=draw.randint(3, 12)), TASKS[task])
    assert accuracy(tmp_path, 2500, "--share-all-embeddings") >= 99


def test_only_a_pointer_copies_symbols_it_has_never_seen(tmp_path: Path):
    """Every test string has symbols that training lacks: nothing but copying can know them."""

    def words(draw: random.Random, split: str) -> list[str]:
        word = draw.choices(SEEN if split != "test" else SEEN + UNSEEN, k=draw.randint(3, 8))
        return word if split != "test" or set(word) & set(UNSEEN) else words(draw, split)

    write_task(tmp_path, words)
    assert accuracy(tmp_path, 1500, "--share-all-embeddings --pointer") >= 99
    assert accuracy(tmp_path, 1500, "--share-all-embeddings") < 20


def test_coverage_keeps_count_of_repeated_symbols(tmp_path: Path):
    """Runs of one letter look alike to attention that does not remember where it has been."""

    def words(draw: random.Random, _: str) -> list[str]:
        return [letter for _ in range(draw.randint(1, 4)) for letter in draw.choice("abc") * draw.randint(1, 8)]

    write_task(tmp_path, words)
    assert accuracy(tmp_path, 2000, "--coverage sum") >= 99
