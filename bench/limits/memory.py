"""Memorization: what one vector, or attention, can hold of a long source, and what helps.

make limit-memory
"""

from __future__ import annotations

import argparse
import json
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

from common import ROOT

from limits import lab

LAB = "memory"
ATTENTIONS = {"no attention": "none", "attention": "general", "location-aware attention": "location"}
LENGTHS = (5, 10, 15, 20, 25, 30, 35, 40)  # of the test; training has up to 20
COPYING = (
    "app=nmt data=files subword.kind=word subword.size=60 model=base model.encoder_embed_dim=64 "
    "model.encoder_hidden_size=128 model.decoder_embed_dim=64 model.decoder_hidden_size=128 metrics=[s2s_exact] "
    "checkpoint_metric=loss baselines=[] optimization.max_update=1500"
)


def copying(options: argparse.Namespace) -> dict[str, Any]:
    """Copy and reverse sequences of letters, up to twice as long as those of training."""
    settings = {
        f"{task}-{kind}": f"{COPYING} {_letters(task)} model.attention={kind}"
        for task in ("copy", "reverse")
        for kind in ATTENTIONS.values()
    }
    runs = lab.train(LAB, settings, options)
    rows = []
    for task in ("copy", "reverse"):
        for name, kind in ATTENTIONS.items():
            shares = [_exact_by_length(folder) for folder in runs[f"{task}-{kind}"]]
            rows.append({"model": f"{task}, {name}", **{str(n): [each[n] for each in shares] for n in LENGTHS}})
    recipe = lab.recipe(
        [folder for folders in runs.values() for folder in folders],
        data="10,000 random sequences of 1 to 20 of 20 letters, to be written in capitals",
        split=f"100 test sequences of each length, {LENGTHS[0]} to {LENGTHS[-1]} letters",
        metric="share of outputs that are right in every letter, in percent",
    )
    plot = {"title": "copy and reverse by length", "x": "letters of the source", "y": "right, %"}
    return {"rows": rows, "recipe": recipe, "plot": plot}


def _exact_by_length(folder: Path) -> dict[int, float]:
    """Return the share of right outputs of a run by the length of the source, in percent."""
    right: dict[int, list[bool]] = defaultdict(list)
    for line in (folder / "outputs.jsonl").read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        right[len(item["source"].split())].append(item["hypothesis"] == item["reference"])
    return {length: 100 * sum(each) / len(each) for length, each in right.items()}


def _letters(task: str) -> str:
    """Write the files of a task and return the options that name them."""
    draw = random.Random(1)
    folder = lab.RUNS / LAB / "data"
    folder.mkdir(parents=True, exist_ok=True)

    def sequence(length: int) -> list[str]:
        return [draw.choice("abcdefghijklmnopqrst") for _ in range(length)]

    lengths = {
        "train": [draw.randint(1, 20) for _ in range(10_000)],
        "valid": [draw.randint(1, 20) for _ in range(300)],
        "test": [length for length in LENGTHS for _ in range(100)],
    }
    words = []
    for split, numbers in lengths.items():
        sources = [sequence(length) for length in numbers]
        targets = [source[::-1] for source in sources] if task == "reverse" else sources
        targets = [[letter.upper() for letter in target] for target in targets]
        for side, lines in (("source", sources), ("target", targets)):
            file = folder / f"{task}.{split}.{side}"
            file.write_text("".join(" ".join(line) + "\n" for line in lines), encoding="utf-8")
            prefix = "" if split == "train" else f"{split}_"
            words.append(f"data.{prefix}{side}={file.relative_to(ROOT)}")
    return " ".join(words)


if __name__ == "__main__":
    lab.main(LAB, __doc__, {"copying": copying})
