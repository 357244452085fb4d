"""Text that looks like a token is learned, copied and returned as it is."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from command_line import call

TOKENS = ["<0x41>", "<s>", "</s>", "<unk>", "<pad>", "@@", "▁", "⁇", "a", "bc"]


@pytest.mark.slow
def test_text_that_looks_like_a_token_is_copied(tmp_path: Path):
    draw = random.Random(1)
    train = [f"{draw.choice(TOKENS)} {draw.choice(TOKENS)}" for _ in range(600)]
    pairs = [f"{one} {other}" for one in TOKENS for other in TOKENS]
    for name, lines in {"": train, "valid_": train[:20], "test_": pairs}.items():
        (tmp_path / f"{name}my.in").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        (tmp_path / f"{name}my.out").write_text("".join(f"{line} #\n" for line in lines), encoding="utf-8")
    files = " ".join(
        f"data.{each}source={each}my.in data.{each}target={each}my.out" for each in ("", "valid_", "test_")
    )
    call(
        "s2s run app=nmt model=tiny subword.size=60 dataset.max_tokens=1000 optimization.max_update=300 "
        f"optimization.lr=[0.01] lr_scheduler.warmup_updates=30 metrics=[s2s_exact] {files}",
        cwd=tmp_path,
    )
    rows = [json.loads(line) for line in (tmp_path / "runs/nmt/default/outputs.jsonl").read_text().splitlines()]
    assert [row["hypothesis"] for row in rows] == [f"{pair} #" for pair in pairs]
    answers = call("s2s translate app=nmt test_my.in", cwd=tmp_path).stdout.splitlines()
    assert answers == [f"{pair} #" for pair in pairs]
