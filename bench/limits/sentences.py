"""What translators keep of long sentences, and of lines of several; a part of the laboratory of memory."""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from common import ROOT, call, prepare

from limits import lab

LAB = "memory"
DATA = lab.RUNS / LAB / "data"
Pairs = Sequence[tuple[str, str]]
Output = dict[str, Any]  # a line of outputs.jsonl
REVERSED = "model.encoder_bidirectional=none model.encoder_reversed=true"

WORDS, ALL_WORDS = 15, 80  # of the longest training sentences
BUCKETS = {  # words of the source
    "up to 5": (1, 5), "6 to 10": (6, 10), "11 to 15": (11, WORDS), "16 to 25": (16, 25), "26 and more": (26, 1000),
}  # fmt: skip
BUCKET_SIZE = 500  # sentences at most
CORPUS = f"s2s prepare app=nmt +data.options.max_words={ALL_WORDS} +data.options.test=0.12"
TEST = f"up to {BUCKET_SIZE} sentences of each length from help pages that training has not"
METRIC = "BLEU, sacrebleu nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp"
TRANSLATION = (
    f"app=nmt data=files metrics=[s2s_bleu] baselines=[] subword.size=3000 {lab.NARROW} model.dropout=0.1 "
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
    runs = _translators(TRANSLATORS, _sentences("sentences", WORDS), options)
    rows = _rows(runs)
    return _record(runs, [*rows, _ratio(rows), _ratio(rows, ", joined pairs")], WORDS)


def margin(options: argparse.Namespace) -> dict[str, Any]:
    """Translate sentences of all lengths by translators that were trained on all."""
    files = _sentences("sentences-of-all-lengths", ALL_WORDS)
    runs = _translators(KINDS, files, options, ", all lengths")
    rows = _rows(runs)
    return _record(runs, [*rows, _ratio(rows)], ALL_WORDS)


def _translators(
    names: Collection[str], files: str, options: argparse.Namespace, suffix: str = ""
) -> dict[str, list[Path]]:
    """Return the runs of translators by their names; ``suffix``: of the names of their folders."""
    settings = {slug(name + suffix): f"{TRANSLATION} {files} {TRANSLATORS[name]}".rstrip() for name in names}
    return dict(zip(names, lab.train(LAB, settings, options).values(), strict=True))


def _rows(runs: Mapping[str, list[Path]]) -> list[dict[str, Any]]:
    """Return a row of scores by length for each translator."""
    rows = []
    for name, folders in runs.items():
        scores = [by_length(folder, _bucket, _bleu) for folder in folders]
        rows.append({"model": name, **{bucket: [each[bucket] for each in scores] for bucket in BUCKETS}})
    return rows


def _ratio(rows: list[dict[str, Any]], suffix: str = "") -> dict[str, Any]:
    """Return the row that says by how much attention is better than none, of the rows with this suffix."""
    with_it, without = (next(row for row in rows if row["model"] == f"{kind}{suffix}") for kind in KINDS)
    ratios = {
        bucket: [round(a / b, 1) for a, b in zip(with_it[bucket], without[bucket], strict=True)] for bucket in BUCKETS
    }
    return {"model": f"ratio of attention to none{suffix}", **ratios}


def _record(runs: Mapping[str, list[Path]], rows: list[dict[str, Any]], longest: int) -> dict[str, Any]:
    recipe = lab.recipe(runs, data=_data(longest), split=TEST, metric=METRIC)
    title = f"BLEU by length of the source, trained on sentences of up to {longest} words"
    plot = {"title": title, "x": "words of the source", "y": "BLEU", "rows": list(runs)}
    return {"rows": rows, "recipe": recipe, "plot": plot}


def _data(longest: int) -> str:
    return f"LibreOffice help, English to German, sentences of up to {longest} words on both sides"


def _sentences(name: str, longest: int) -> str:
    """Write sentences of up to some length for training and of all for the test, and return options that name them."""
    folder = prepare(CORPUS) / "text"
    splits = {}
    for split in ("train", "valid", "test"):
        sides = [(folder / f"{split}.{lang}").read_text(encoding="utf-8").splitlines() for lang in ("en", "de")]
        splits[split] = list(zip(*sides, strict=True))
    short = {split: [pair for pair in splits[split] if _words(pair) <= longest] for split in ("train", "valid")}
    buckets = defaultdict(list)
    for source, target in splits["test"]:
        buckets[_bucket({"source": source})].append((source, target))
    test = [pair for each in buckets.values() for pair in each[:BUCKET_SIZE]]
    return write_splits(name, {**short, "test": test})


def _words(pair: tuple[str, str]) -> int:
    """Return the number of words of the longer side."""
    return max(len(text.split()) for text in pair)


def _bucket(output: Output) -> str:
    words = len(output["source"].split())
    return next(name for name, (low, high) in BUCKETS.items() if low <= words <= high)


PARTS = (1, 2, 4, 8)  # sentences in a line
READERS = {  # by row: the model, and options of s2s translate
    "attention": ("attention", ""),
    "attention, joined pairs": ("attention, joined pairs", ""),
    f"attention, windows of {WORDS} words": ("attention", f"window={WORDS}"),
    f"attention, windows of {WORDS} words, no full stops": ("attention", f"window={WORDS}"),
}


def lines(options: argparse.Namespace) -> dict[str, Any]:
    """Translate lines of several sentences with the models of :func:`length`."""
    models = list(dict.fromkeys(model for model, _ in READERS.values()))
    runs = _translators(models, _sentences("sentences", WORDS), options)
    pairs = [pair for pair in read_pairs("sentences.test") if _words(pair) <= WORDS]

    def measure(row: str) -> dict[str, Any]:
        model, words = READERS[row]
        scores: dict[str, list[float]] = {str(parts): [] for parts in PARTS}
        for parts in PARTS:
            joined = [pairs[start : start + parts] for start in range(0, len(pairs) - parts + 1, parts)]
            sources, targets = ([" ".join(pair[side] for pair in each) for each in joined] for side in (0, 1))
            if "no full stops" in row:
                sources = [" ".join(word.rstrip(".!?") or word for word in source.split()) for source in sources]
            file = DATA / f"joined.{parts}.{slug(row)}.en"
            file.write_text("".join(f"{source}\n" for source in sources), encoding="utf-8")
            for folder in runs[model]:
                command = f"s2s translate app=nmt run_dir={folder.relative_to(ROOT)} {words} {file.relative_to(ROOT)}"
                hypotheses = call(command, threads=1, messages=False).splitlines()
                outputs = [{"hypothesis": h, "reference": r} for h, r in zip(hypotheses, targets, strict=True)]
                scores[str(parts)].append(_bleu(outputs))
        return {"model": row, **scores}

    rows = lab.each(measure, READERS, options)
    recipe = lab.recipe(
        runs,
        data=_data(WORDS),
        split="the test sentences of this length, joined to lines of this number",
        metric=METRIC,
    )
    title = "BLEU by the number of sentences in a line"
    return {"rows": rows, "recipe": recipe, "plot": {"title": title, "x": "sentences in a line", "y": "BLEU"}}


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


def by_length(folder: Path, group: Callable[[Output], Any], score: Callable[[list[Output]], float]) -> dict[Any, float]:
    """Return the scores of a run's outputs by their group."""
    groups = defaultdict(list)
    for line in (folder / "outputs.jsonl").read_text(encoding="utf-8").splitlines():
        output = json.loads(line)
        groups[group(output)].append(output)
    return {name: score(outputs) for name, outputs in groups.items()}


def _bleu(outputs: list[Output]) -> float:
    from s2s_plugin.scoring.evaluate import evaluate

    hypotheses, references = ([output[side] for output in outputs] for side in ("hypothesis", "reference"))
    return evaluate(["s2s_bleu"], hypotheses, references)["BLEU"]["score"]


def slug(name: str) -> str:
    """Return a name as that of a folder."""
    return name.replace(",", "").replace(" ", "-")
