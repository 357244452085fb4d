"""The end of a search: the default rule against fairseq's, and against greedy search.

    python bench/search_end.py runs/*/default       measures these finished runs, 2 minutes each
    python bench/search_end.py --reverse            trains a model that reverses letters (3 minutes), then measures it

For each test item the best hypothesis of three searches with the run's own settings: greedy (K = 1), K hypotheses with
fairseq's rule (task.search_patience=1), K hypotheses with the default. "lower than greedy" and "better than fairseq's"
are shares of the items, by the score that the search maximizes, beyond 1e-4. Every batch is decoded by all in turn,
three times; a time is the sum over the batches of the least processor time. Results are added to
``bench/results/search_end.json`` and ``.md``, one record a run.
"""

from __future__ import annotations

import logging
import random
import shutil
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from common import ROOT, call, machine, parser, read_result, table, write_result
from omegaconf import OmegaConf

from s2s_plugin.scoring.evaluate import evaluate
from s2s_plugin.search.beam import BeamSearch
from s2s_plugin.search.options import BeamOptions
from s2s_plugin.stages.generate.outputs import read_items
from s2s_plugin.tasks.checkpoint import load_model
from s2s_plugin.utils.untrusted import load_yaml

ITEMS, PASSES, TOLERANCE = 500, 3, 1e-4
GREEDY, FAIRSEQ, DEFAULT = "greedy", "fairseq's rule", "default"
REVERSE = ROOT / "runs" / "bench" / "reverse"
UPDATES = 700
TRAIN = (
    "fairseq-train {folder}/bin --user-dir s2s_plugin --task s2s --arch s2s --cpu --share-all-embeddings "
    "--encoder-embed-dim 64 --encoder-hidden-size 128 --decoder-embed-dim 64 --decoder-hidden-size 128 --dropout 0.1 "
    "--criterion s2s_cross_entropy --label-smoothing 0.1 --optimizer adam --lr 0.003 --lr-scheduler polynomial_decay "
    f"--warmup-updates 200 --total-num-update {UPDATES} --max-update {UPDATES} --clip-norm 1.0 --batch-size 128 "
    "--precision fp32 --disable-validation --num-workers 0 --no-epoch-checkpoints --save-dir {folder}"
)


def make_reverse() -> Path:
    """Return the checkpoint of a model that reverses 5 to 20 of 8 letters; train it if there is none."""
    checkpoint = REVERSE / "checkpoint_last.pt"
    if not checkpoint.is_file():
        shutil.rmtree(REVERSE, ignore_errors=True)
        REVERSE.mkdir(parents=True)
        draw = random.Random(1)
        for split, size in (("train", 10_000), ("test", 1000)):
            words = [draw.choices("abcdefgh", k=draw.randint(5, 20)) for _ in range(size)]
            for suffix, step in (("src", 1), ("tgt", -1)):
                (REVERSE / f"{split}.{suffix}").write_text("".join(" ".join(w[::step]) + "\n" for w in words))
        pairs = f"--trainpref {REVERSE}/train --testpref {REVERSE}/test"
        call(f"fairseq-preprocess -s src -t tgt --joined-dictionary --destdir {REVERSE}/bin --workers 1 {pairs}")
        call(TRAIN.format(folder=REVERSE), threads=1)
    return checkpoint


def batches_of(task: Any, max_tokens: int | None, batch_size: int | None) -> list[dict]:
    """Return test batches with about ITEMS items, in random order."""
    dataset = task.dataset("test")
    sizes = {"max_tokens": max_tokens, "max_sentences": batch_size}
    chosen = task.get_batch_iterator(dataset, **sizes, seed=1, disable_iterator_cache=True).frozen_batches
    chosen = random.Random(1).sample(chosen, len(chosen))
    batches, items = [], 0
    for indices in chosen:
        if items < ITEMS:
            batches.append(dataset.collater([dataset[i] for i in indices]))
            items += len(indices)
    return batches


def measure(model: Any, task: Any, options: BeamOptions, batches: list[dict]) -> tuple[dict, dict]:
    """Return the best hypothesis of each item and the seconds, by search."""
    settings = {
        GREEDY: replace(options, beam=1, search_patience=None),
        FAIRSEQ: replace(options, search_patience=1.0),
        DEFAULT: replace(options, search_patience=None),
    }
    searches = {name: BeamSearch([model], task.target_dictionary, each) for name, each in settings.items()}
    best: dict[str, dict[int, dict]] = {name: {} for name in searches}
    seconds = dict.fromkeys(searches, 0.0)
    for batch in batches:
        taken: dict[str, list[float]] = {name: [] for name in searches}
        for _ in range(PASSES):
            for name, search in searches.items():
                started = time.process_time()
                hypotheses = search.generate([model], batch)
                taken[name].append(time.process_time() - started)
                best[name].update(zip(batch["id"].tolist(), (each[0] for each in hypotheses), strict=True))
        for name, each in taken.items():
            seconds[name] += min(each)
    return best, seconds


def record(name: str, about: dict, best: dict, seconds: dict, metrics: dict[str, dict[str, float]]) -> dict:
    """Return the row of one model."""
    numbers = list(best[GREEDY])
    score = {rule: [float(each[i]["score"]) for i in numbers] for rule, each in best.items()}

    def share(low: str, high: str) -> str:
        pairs = zip(score[low], score[high], strict=True)
        return f"{100 * sum(one < other - TOLERANCE for one, other in pairs) / len(numbers):.1f} %"

    row = {"model": name, **about, "items": len(numbers)}
    row |= {f"{FAIRSEQ}: lower than greedy": share(FAIRSEQ, GREEDY), f"{DEFAULT}: lower": share(DEFAULT, GREEDY)}
    row |= {"better than fairseq's": share(FAIRSEQ, DEFAULT), "worse": share(DEFAULT, FAIRSEQ)}
    row["time"] = f"{seconds[DEFAULT] / seconds[FAIRSEQ]:.2f}"
    for metric in metrics[GREEDY]:
        row[metric] = " / ".join(f"{metrics[rule][metric]:.2f}" for rule in (GREEDY, FAIRSEQ, DEFAULT))
    return row


def measure_run(folder: Path) -> list[dict]:
    """Return the row of a finished run, on the test set in its folder."""
    cfg = OmegaConf.create(load_yaml(folder / "config.yaml"))
    averaged = folder / "checkpoints" / "checkpoint_best.ema.pt"
    checkpoint = averaged if averaged.is_file() else averaged.with_name("checkpoint_best.pt")
    model, _, task = load_model(checkpoint, folder / "data")
    cfg.task.source_lang, cfg.task.target_lang = task.cfg.source_lang, task.cfg.target_lang
    task.load_dataset("test")
    options = BeamOptions.from_config(cfg.generation, cfg.task)
    batches = batches_of(task, cfg.dataset.max_tokens, cfg.dataset.batch_size)
    best, seconds = measure(model, task, options, batches)
    items, metrics = read_items(cfg, folder / "data", "test"), {}
    for rule, hypotheses in best.items():
        texts = [task.codec.fill(task.text(each["tokens"]), items[i]["source"] or "") for i, each in hypotheses.items()]
        scores = evaluate(list(cfg.metrics)[:2], texts, [items[i]["reference"] for i in hypotheses], cfg.scoring)
        metrics[rule] = {name: value["score"] for name, value in scores.items()}
    updates = torch.load(checkpoint, weights_only=True)["optimizer_history"][-1]["num_updates"]
    return [record(cfg.app, {"updates": updates, "beam": options.beam}, best, seconds, metrics)]


def measure_reverse() -> list[dict]:
    """Return the rows of the model that reverses letters."""
    model, _, task = load_model(make_reverse())
    task.load_dataset("test")
    dataset, rows, batches = task.dataset("test"), [], batches_of(task, None, 32)
    for beam in (2, 5):
        best, seconds = measure(model, task, BeamOptions(beam=beam), batches)
        metrics = {}
        for rule, hypotheses in best.items():
            right = sum(each["tokens"].tolist() == dataset[i]["target"].tolist() for i, each in hypotheses.items())
            metrics[rule] = {"exact": 100 * right / len(hypotheses)}
        rows.append(record(f"reverse, beam {beam}", {"updates": UPDATES, "beam": beam}, best, seconds, metrics))
    return rows


def add(new: list[dict]) -> None:
    """Add the rows of a model to the results."""
    rows = {row["model"]: row for row in [*(read_result("search_end") or {"results": []})["results"], *new]}
    ordered = [rows[name] for name in sorted(rows)]
    about = f"{machine()}, 1 thread. Metrics: greedy / fairseq's rule / default. Time: default / fairseq's rule."
    tables = [table([row]) for row in ordered]
    write_result("search_end", {"about": about, "results": ordered}, [str(__doc__).splitlines()[0], about, *tables])
    print(table(new), flush=True)


def main() -> None:
    """Measure runs and add their records to the results."""
    arguments = parser(__doc__)
    arguments.add_argument("runs", nargs="*", type=Path, help="folders of finished runs")
    arguments.add_argument("--reverse", action="store_true", help="measure a model that reverses letters")
    options = arguments.parse_args()
    logging.disable(logging.INFO)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if options.reverse:
        add(measure_reverse())
    for folder in options.runs:
        add(measure_run(folder))


if __name__ == "__main__":
    main()
