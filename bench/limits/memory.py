"""Memorization: what one vector, or attention, holds of a long source, and what helps.

make limit-memory
"""

from __future__ import annotations

import argparse
import random
from typing import Any

from limits import lab
from limits.sentences import LAB, REVERSED, Output, by_length, length, lines, margin, slug, write_splits

LETTERS = "abcdefghijklmnopqrst"
LENGTHS = (5, 10, 15, 20, 25, 30, 35, 40)  # of the test; training has up to TRAINED
TRAINED = 20
COPYING = (
    "app=nmt data=files subword.kind=word subword.size=60 model=base model.encoder_embed_dim=64 "
    "model.encoder_hidden_size=128 model.decoder_embed_dim=64 model.decoder_hidden_size=128 metrics=[s2s_exact] "
    "checkpoint_metric=loss baselines=[] optimization.max_update=800"
)
COPIERS = {
    "no attention": "model.attention=none",
    "no attention, source reversed": f"model.attention=none {REVERSED}",
    "attention": "model.attention=general",
    "multi-head attention": "model.attention=multi_head",
    "location-aware attention": "model.attention=location",
}


def copying(options: argparse.Namespace) -> dict[str, Any]:
    """Copy and reverse sequences of letters, up to twice as long as those of training."""
    names = {(task, copier): f"{task} {copier}" for task in ("copy", "reverse") for copier in COPIERS}
    settings = {slug(name): f"{COPYING} {_letters(task)} {COPIERS[copier]}" for (task, copier), name in names.items()}
    runs = lab.train(LAB, settings, options)
    rows = []
    for (task, copier), name in names.items():
        shares = [
            by_length(folder, lambda output: len(output["source"].split()), _exact) for folder in runs[slug(name)]
        ]
        rows.append({"model": f"{task}: {copier}", **{str(n): [each[n] for each in shares] for n in LENGTHS}})
    recipe = lab.recipe(
        runs,
        data=f"10,000 random sequences of 1 to {TRAINED} of {len(LETTERS)} letters, to be written in capitals",
        split=f"100 test sequences of each length, {LENGTHS[0]} to {LENGTHS[-1]} letters",
        metric="share of outputs that are right in every letter, in percent",
    )
    title = f"Copying and reversing letters, trained on up to {TRAINED}"
    return {"rows": rows, "recipe": recipe, "plot": {"title": title, "x": "letters of the source", "y": "right, %"}}


def _letters(task: str) -> str:
    """Write the files of a task and return the options that name them."""
    draw = random.Random(1)

    def pair(length: int) -> tuple[str, str]:
        source = draw.choices(LETTERS, k=length)
        target = source[::-1] if task == "reverse" else source
        return " ".join(source), " ".join(target).upper()

    splits = {
        "train": [pair(draw.randint(1, TRAINED)) for _ in range(10_000)],
        "valid": [pair(draw.randint(1, TRAINED)) for _ in range(300)],
        "test": [pair(length) for length in LENGTHS for _ in range(100)],
    }
    return write_splits(task, splits)


def _exact(outputs: list[Output]) -> float:
    return 100 * sum(output["hypothesis"] == output["reference"] for output in outputs) / len(outputs)


SCAN = (  # larger batches than the experiment's, and fewer of them
    "experiment=scan data.options.split=length checkpoint_metric=loss model.dropout=0.3 dataset.batch_size=200 "
    "optimization.lr=[0.005] optimization.max_update=1500"
)
SCANNERS = {
    "attention": "",
    "location-aware attention": "model.attention=location",
    "attention, joined pairs": "data.concatenate=2",
    "attention, loops folded": "subword.fold_repeats=true",
}


def scan(options: argparse.Namespace) -> dict[str, Any]:
    """Carry out commands whose actions are longer than those of training."""
    settings = {slug(f"scan {name}"): f"{SCAN} {words}".rstrip() for name, words in SCANNERS.items()}
    runs = lab.train(LAB, settings, options)
    rows: list[dict[str, Any]] = [{"model": "published: LSTM (Lake and Baroni 2018)", "right, %": "14 to 21"}]
    for name in SCANNERS:
        right = [lab.scores(folder)["metrics"]["exact"]["score"] for folder in runs[slug(f"scan {name}")]]
        rows.append({"model": name, "right, %": right})
    recipe = lab.recipe(
        runs,
        data="SCAN, length split: commands of up to 9 words",
        split="the official 3,920 test commands of 24 to 48 actions; training has up to 22",
        metric="exact|norm:basic|refs:1, in percent",
    )
    return {"rows": rows, "recipe": recipe}


if __name__ == "__main__":
    lab.main(
        LAB,
        __doc__,
        {
            "margin": (margin, 1),
            "length": (length, 2),
            "lines": (lines, 2),
            "copying": (copying, 2),
            "scan": (scan, 2),
        },
    )
