"""Memorization: what one vector, or attention, holds of a long source, and what helps.

make limit-memory
"""

from __future__ import annotations

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common import ROOT, call, prepare

from limits import lab

LAB = "memory"
DATA = lab.RUNS / LAB / "data"
Pairs = Sequence[tuple[str, str]]
Output = dict[str, Any]  # a line of outputs.jsonl
REVERSED = "model.encoder_bidirectional=none model.encoder_reversed=true"

# ------------------------------------------------------------------------------------------------ copying, reversing

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
    settings = {_slug(name): f"{COPYING} {_letters(task)} {COPIERS[copier]}" for (task, copier), name in names.items()}
    runs = lab.train(LAB, settings, options)
    rows = []
    for (task, copier), name in names.items():
        shares = [
            _by_length(folder, lambda output: len(output["source"].split()), _exact) for folder in runs[_slug(name)]
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


# -------------------------------------------------------------------------------------------------------- translation

WORDS = 15  # of the training sentences
BUCKETS = {  # words of the source
    "up to 5": (1, 5), "6 to 10": (6, 10), "11 to 15": (11, WORDS), "16 to 25": (16, 25), "26 and more": (26, 1000),
}  # fmt: skip
BUCKET_SIZE = 500  # sentences at most
CORPUS = "s2s prepare app=nmt +data.options.max_words=80 +data.options.test=0.12"
TRANSLATION = (  # half as wide as the default, which takes twice the time
    "app=nmt data=files metrics=[s2s_bleu] baselines=[] subword.size=3000 model.encoder_embed_dim=128 "
    "model.encoder_hidden_size=256 model.decoder_embed_dim=128 model.decoder_hidden_size=256 model.dropout=0.1 "
    "checkpoint_metric=loss optimization.max_update=1600"
)
KINDS = ("attention", "no attention")
TRANSLATORS = {
    "no attention": "model.attention=none",
    "no attention, source reversed": f"model.attention=none {REVERSED}",
    "no attention, joined pairs": "model.attention=none data.concatenate=3",
    "attention": "",
    "multi-head attention": "model.attention=multi_head",
    "attention, joined pairs": "data.concatenate=3",
}


def length(options: argparse.Namespace) -> dict[str, Any]:
    """Translate sentences that are longer than those of training."""
    files = _sentences()
    settings = {_slug(name): f"{TRANSLATION} {files} {words}".rstrip() for name, words in TRANSLATORS.items()}
    runs = lab.train(LAB, settings, options)
    rows: list[dict[str, Any]] = []
    for name in TRANSLATORS:
        scores = [_by_length(folder, _bucket, _bleu) for folder in runs[_slug(name)]]
        rows.append({"model": name, **{bucket: [each[bucket] for each in scores] for bucket in BUCKETS}})
    for words in ("", ", joined pairs"):  # by how much attention is better, as a ratio
        with_it, without = (next(row for row in rows if row["model"] == f"{kind}{words}") for kind in KINDS)
        ratios = {
            bucket: [round(a / b, 1) for a, b in zip(with_it[bucket], without[bucket], strict=True)]
            for bucket in BUCKETS
        }
        rows.append({"model": f"ratio of attention to none{words}", **ratios})
    recipe = lab.recipe(
        runs,
        data=f"LibreOffice help, English to German, sentences of up to {WORDS} words on both sides",
        split=f"up to {BUCKET_SIZE} sentences of each length from help pages that training has not",
        metric="BLEU, sacrebleu nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp",
    )
    title = f"BLEU by length of the source, trained on sentences of up to {WORDS} words"
    plot = {"title": title, "x": "words of the source", "y": "BLEU", "rows": list(TRANSLATORS)}
    return {"rows": rows, "recipe": recipe, "plot": plot}


def _sentences() -> str:
    """Write short sentences for training and all lengths for the test, and return the options that name the files."""
    folder = prepare(CORPUS) / "text"
    splits = {}
    for split in ("train", "valid", "test"):
        sides = [(folder / f"{split}.{lang}").read_text(encoding="utf-8").splitlines() for lang in ("en", "de")]
        splits[split] = list(zip(*sides, strict=True))
    short = {split: list(filter(_is_short, splits[split])) for split in ("train", "valid")}
    buckets = defaultdict(list)
    for source, target in splits["test"]:
        buckets[_bucket({"source": source})].append((source, target))
    test = [pair for each in buckets.values() for pair in each[:BUCKET_SIZE]]
    return write_splits("sentences", {**short, "test": test})


def _is_short(pair: tuple[str, str]) -> bool:
    return max(len(text.split()) for text in pair) <= WORDS


def _bucket(output: Output) -> str:
    words = _words(output)
    return next(name for name, (low, high) in BUCKETS.items() if low <= words <= high)


def _words(output: Output) -> int:
    return len(output["source"].split())


# ------------------------------------------------------------------------------------------------------ very long lines

PARTS = (1, 2, 4, 8)  # sentences in a line
READERS = {  # by row: the model, and options of s2s translate
    "attention": ("attention", ""),
    "attention, joined pairs": ("attention, joined pairs", ""),
    f"attention, windows of {WORDS} words": ("attention", f"window={WORDS}"),
    f"attention, windows of {WORDS} words, no full stops": ("attention", f"window={WORDS}"),
}


def lines(options: argparse.Namespace) -> dict[str, Any]:
    """Translate lines of several sentences with the models of :func:`length`."""
    files = _sentences()
    trained = {model for model, _ in READERS.values()}
    settings = {_slug(name): f"{TRANSLATION} {files} {TRANSLATORS[name]}".rstrip() for name in trained}
    runs = lab.train(LAB, settings, options)
    pairs = list(filter(_is_short, read_pairs("sentences.test")))
    rows = []
    for row, (model, words) in READERS.items():
        scores: dict[int, list[float]] = {}
        for parts in PARTS:
            joined = [pairs[start : start + parts] for start in range(0, len(pairs) - parts + 1, parts)]
            sources, targets = ([" ".join(pair[side] for pair in each) for each in joined] for side in (0, 1))
            if "no full stops" in row:
                sources = [" ".join(word.rstrip(".!?") or word for word in source.split()) for source in sources]
            file = DATA / f"joined.{parts}.{_slug(row)}.en"
            file.write_text("".join(f"{source}\n" for source in sources), encoding="utf-8")
            scores[parts] = []
            for folder in runs[_slug(model)]:
                command = f"s2s translate app=nmt run_dir={folder.relative_to(ROOT)} {words} {file.relative_to(ROOT)}"
                hypotheses = call(command, threads=1, messages=False).splitlines()
                outputs = [{"hypothesis": h, "reference": r} for h, r in zip(hypotheses, targets, strict=True)]
                scores[parts].append(_bleu(outputs))
        rows.append({"model": row, **{str(parts): scores[parts] for parts in PARTS}})
    recipe = lab.recipe(
        runs,
        data=f"LibreOffice help, English to German, sentences of up to {WORDS} words on both sides",
        split="the test sentences of this length, joined to lines of this number",
        metric="BLEU, sacrebleu nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp",
    )
    title = "BLEU by the number of sentences in a line"
    return {"rows": rows, "recipe": recipe, "plot": {"title": title, "x": "sentences in a line", "y": "BLEU"}}


# --------------------------------------------------------------------------------------------------------------- SCAN

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
    settings = {_slug(f"scan {name}"): f"{SCAN} {words}".rstrip() for name, words in SCANNERS.items()}
    runs = lab.train(LAB, settings, options)
    rows: list[dict[str, Any]] = [{"model": "published: LSTM (Lake and Baroni 2018)", "right, %": "14 to 21"}]
    for name in SCANNERS:
        right = [lab.scores(folder)["metrics"]["exact"]["score"] for folder in runs[_slug(f"scan {name}")]]
        rows.append({"model": name, "right, %": right})
    recipe = lab.recipe(
        runs,
        data="SCAN, length split: commands of up to 9 words",
        split="the official 3,920 test commands of 24 to 48 actions; training has up to 22",
        metric="exact|norm:basic|refs:1, in percent",
    )
    return {"rows": rows, "recipe": recipe}


# ------------------------------------------------------------------------------------------------------------ helpers


def write_splits(name: str, splits: Mapping[str, Pairs]) -> str:
    """Write pairs as text files, and return the options that name them."""
    DATA.mkdir(parents=True, exist_ok=True)
    words = []
    for split, pairs in splits.items():
        for side, texts in zip(("source", "target"), zip(*pairs, strict=True), strict=True):
            file = DATA / f"{name}.{split}.{side}"
            file.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
            words.append(f"data.{'' if split == 'train' else f'{split}_'}{side}={file.relative_to(ROOT)}")
    return " ".join(words)


def read_pairs(name: str) -> Pairs:
    """Return the pairs of a split that :func:`write_splits` wrote."""
    sides = [(DATA / f"{name}.{side}").read_text(encoding="utf-8").splitlines() for side in ("source", "target")]
    return list(zip(*sides, strict=True))


def _by_length(
    folder: Path, group: Callable[[Output], Any], score: Callable[[list[Output]], float]
) -> dict[Any, float]:
    """Return the scores of a run's outputs by their group."""
    groups = defaultdict(list)
    for line in (folder / "outputs.jsonl").read_text(encoding="utf-8").splitlines():
        output = json.loads(line)
        groups[group(output)].append(output)
    return {name: score(outputs) for name, outputs in groups.items()}


def _exact(outputs: list[Output]) -> float:
    return 100 * sum(output["hypothesis"] == output["reference"] for output in outputs) / len(outputs)


def _bleu(outputs: list[Output]) -> float:
    from s2s_plugin.scoring.evaluate import evaluate

    hypotheses, references = ([output[side] for output in outputs] for side in ("hypothesis", "reference"))
    return evaluate(["s2s_bleu"], hypotheses, references)["BLEU"]["score"]


def _slug(name: str) -> str:
    return name.replace(",", "").replace(" ", "-")


if __name__ == "__main__":
    lab.main(LAB, __doc__, {"length": (length, 2), "lines": (lines, 2), "copying": (copying, 2), "scan": (scan, 2)})
