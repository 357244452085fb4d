"""Calling the real commands from tests, and a corpus to call them on."""

from __future__ import annotations

import os
import random
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SHARED = ROOT.parent / "shared" / "data"

PREPROCESS = "fairseq-preprocess -s src -t tgt --joined-dictionary --destdir bin --workers 1"
TRAIN = (
    "fairseq-train {data} --user-dir s2s_plugin --task s2s --arch s2s_tiny --share-all-embeddings --cpu "
    "--optimizer adam --lr 0.005 --clip-norm 1.0 --criterion label_smoothed_cross_entropy --label-smoothing 0.1 "
    "--max-tokens 1000 --num-workers 0 --no-epoch-checkpoints --log-format json --save-dir {save_dir}"
)
GENERATE = "fairseq-generate {data} --user-dir s2s_plugin --task s2s --cpu --path {path}"


def call(
    command: str | list[str], cwd: Path = ROOT, stdin: str | None = None, check: bool = True, timeout: float = 600
) -> subprocess.CompletedProcess:
    """Run one of the environment's commands as a user would, and return what it printed."""
    words = shlex.split(command) if isinstance(command, str) else command
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "COLUMNS": "120"}
    done = subprocess.run(
        [str(BIN / words[0]), *words[1:]], cwd=cwd, input=stdin, env=environment, timeout=timeout,
        capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    if check and done.returncode != 0:
        pytest.fail(f"{shlex.join(words)} ended with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done


def write_reversed(
    folder: Path, sizes: dict[str, int], suffixes: tuple[str, str] = ("src", "tgt"), upper: bool = False
) -> None:
    """``<split>.src`` and ``<split>.tgt``: letters, and the same letters backwards (in upper case)."""
    draw = random.Random(1)
    folder.mkdir(parents=True, exist_ok=True)
    for split, size in sizes.items():
        words = [[draw.choice("abcdefgh") for _ in range(draw.randint(2, 7))] for _ in range(size)]
        (folder / f"{split}.{suffixes[0]}").write_text("".join(" ".join(w) + "\n" for w in words))
        backwards = "".join(" ".join(w[::-1]) + "\n" for w in words)
        (folder / f"{split}.{suffixes[1]}").write_text(backwards.upper() if upper else backwards)
