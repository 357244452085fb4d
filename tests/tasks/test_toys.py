"""Toy tasks through fairseq's command line: what a model of this kind must learn within two minutes of one core."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import call

TASKS: dict[str, Callable[[list[str]], list[str]]] = {"copy": list, "reverse": lambda word: word[::-1], "sort": sorted}
LETTERS = "abcdefghijklmnopqrst"


def write_task(folder: Path, task: str) -> None:
    """10,000 / 100 / 300 different strings of 3 to 12 letters, and what the task makes of them."""
    draw, seen = random.Random(1), set()
    for split, size in (("train", 10_000), ("valid", 100), ("test", 300)):
        lines = []
        while len(lines) < size:
            word = draw.choices(LETTERS, k=draw.randint(3, 12))
            if tuple(word) not in seen:
                seen.add(tuple(word))
                lines.append(word)
        for suffix, function in (("src", list), ("tgt", TASKS[task])):
            (folder / f"{split}.{suffix}").write_text("".join(" ".join(function(line)) + "\n" for line in lines))


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_99_percent_of_unseen_strings(tmp_path: Path, task: str):
    write_task(tmp_path, task)
    prefixes = " ".join(f"--{split}pref {split}" for split in ("train", "valid", "test"))
    call(f"fairseq-preprocess -s src -t tgt --joined-dictionary --destdir bin --workers 1 {prefixes}", cwd=tmp_path)
    call(
        f"fairseq-train {tmp_path}/bin --user-dir s2s_plugin --task s2s --arch s2s --cpu --share-all-embeddings "
        "--encoder-embed-dim 64 --encoder-hidden-size 128 --decoder-embed-dim 64 --decoder-hidden-size 128 "
        "--dropout 0.1 --criterion s2s_cross_entropy --label-smoothing 0.1 --optimizer adam --lr 0.004 "
        "--lr-scheduler inverse_sqrt "
        "--warmup-updates 200 --clip-norm 1.0 --batch-size 128 --max-update 2500 --eval-metric exact "
        "--best-checkpoint-metric exact --maximize-best-checkpoint-metric --validate-interval-updates 500 "
        f"--num-workers 0 --no-epoch-checkpoints --save-dir {tmp_path}",
        timeout=300,
    )
    output = call(
        f"fairseq-generate {tmp_path}/bin --user-dir s2s_plugin --task s2s --cpu --scoring s2s_exact "
        f"--path {tmp_path}/checkpoint_best.pt"
    ).stdout
    exact = float(re.findall(r"exact = ([\d.]+)|exact: ([\d.]+)", output)[-1][0])
    assert exact >= 99
