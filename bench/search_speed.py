"""Beam search: ours in each precision against fairseq's own search, in one interleaved run: sentences per second.

    python bench/search_speed.py            prepares data, trains a model (40 minutes), then measures (20 minutes)
    python bench/search_speed.py --quick    batch 32, beam 5 only, within 60 s; results not written
    python bench/search_speed.py --equality 2000 --subset train
    python bench/search_speed.py --device cuda --untrained --seconds 240

The last one needs only ``make setup`` on a machine with an Nvidia GPU, and takes at most 8 minutes.

The model is fairseq's own ``lstm``: 2 + 2 layers, 512 wide, 8,000 joint tokens, trained on LibreOffice's help texts
(en-de). ``s2s import-lstm`` makes it one of ours with the same outputs, so that all systems search the same model:

    stock lstm              fairseq's SequenceGenerator and model
    stock search, our model fairseq's SequenceGenerator
    ours, fp32 bf16 int8    our search, the decoder's products in that precision
    ..., workers            the same by as many processes as there are threads, one thread each, as ``s2s generate``

In each round every system translates the same sentences of the test set, in rotating order; a ratio is the
median over rounds. At batch 32 and beam 5 the rounds cover the whole test set, and so does BLEU; elsewhere they are a
sample. "same" counts the best hypotheses equal to stock lstm's. Memory is the peak of a fresh process over that before
its first batch of 128. Without a trained model, weights and sources are random, and every output has 24 tokens.
Results go to ``bench/results/search_speed.json`` and ``.md``, those of a GPU to ``search_speed.cuda.json`` and ``.md``.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import re
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

import torch
from common import ROOT, check_device, parser, setting, table, write_result
from fairseq.utils import move_to_cuda
from search_models import (
    BEST,
    PREPARE,
    STOCK,
    STOCK_SEARCH,
    TRAIN,
    Models,
    System,
    load,
    models_of,
    precisions,
    systems,
    untrained,
)
from torch import nn

from s2s_plugin.scoring.evaluate import evaluate
from s2s_plugin.search.precision import ON_CPU, ON_GPU
from s2s_plugin.text.codec import PairCodec

HEADLINE = {"cpu": (32, 5), "cuda": (128, 5)}  # batch and beam of the last line
PASSES = 5  # at most, over the sentences
SETTINGS = [(32, 5), (1, 5), (128, 5), (32, 1), (1, 1), (128, 1)]


def peak_memory(name: str, device: str, random_weights: bool) -> float:
    """Return the MiB that a fresh process (on a GPU: the GPU) needs to translate 128 sentences with beam 5."""
    words = [sys.executable, __file__, "--memory", name, "--device", device, *["--untrained"] * random_weights]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[-1])


def own_peak_memory(system: System, batch: dict) -> float:
    """Return the MiB that this process needs to translate a batch."""
    if next(system.model.parameters()).is_cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        system.translate([batch])
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    system.translate([batch])
    return (resident("VmHWM") - before) / 2**10


def resident(field: str) -> int:
    """Return a field of /proc/self/status, in KiB."""
    return int(re.findall(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())[0])


def peak_rates(device: str) -> dict[str, float]:
    """Return the GFLOP/s of the output layer on 160 hypotheses, by precision."""
    linear, x = nn.Linear(512, 8000).to(device), torch.randn(160, 512, device=device)
    rates = {}
    for precision in precisions(device):
        kind = (ON_CPU if device == "cpu" else ON_GPU).get(precision)
        layer = linear if kind is None else kind(linear.weight, linear.bias)
        seconds = []
        for _ in range(20):
            synchronize(device)
            started = time.perf_counter()
            with torch.no_grad():
                layer(x)
            synchronize(device)
            seconds.append(time.perf_counter() - started)
        rates[precision] = 2 * 160 * 512 * 8000 / statistics.median(seconds[5:]) / 1e9
    return rates


def synchronize(device: str) -> None:
    """Wait for the GPU."""
    if device != "cpu":
        torch.cuda.synchronize()


def measure(
    built: dict[str, System], batches: list[list[dict]], deadline: float, device: str
) -> tuple[dict[str, list[float]], dict[str, dict[int, tuple[list[int], float]]]]:
    """Return each system's seconds in each round (a list of batches) and its best hypotheses by sentence."""
    seconds: dict[str, list[float]] = {name: [] for name in built}
    outputs: dict[str, dict[int, tuple[list[int], float]]] = {name: {} for name in built}
    for system in built.values():
        system.translate(batches[0])  # the first call chooses kernels
    order = list(built)
    for number, round_ in enumerate(batches):
        round_started = time.monotonic()
        for name in order:
            synchronize(device)
            started = time.perf_counter()
            results = built[name].translate(round_)
            synchronize(device)
            seconds[name].append(time.perf_counter() - started)
            for batch, hypotheses in zip(round_, results, strict=True):
                outputs[name].update(zip(batch["id"].tolist(), hypotheses, strict=True))
        order = order[1:] + order[:1]
        if number >= 2 and 2 * time.monotonic() - round_started > deadline:
            break
    return seconds, outputs


def rounds_of(task, subset: str, batch: int, device: str, whole: bool) -> list[list[dict]]:
    """Return rounds of fairseq-generate's batches (of similar lengths), in random order."""
    dataset = task.dataset(subset)
    batches = task.get_batch_iterator(dataset, max_sentences=batch, seed=1, disable_iterator_cache=True)
    chosen = [indices for indices in batches.frozen_batches if len(indices) == batch or whole]
    random.Random(1).shuffle(chosen)
    if not chosen:
        sys.exit(f"the {subset} set has fewer than {batch} sentences")
    size = 8 if batch == 1 else 4
    groups = [chosen[start : start + size] for start in range(0, len(chosen), size)]
    groups = groups if whole else [group for group in groups if len(group) == size] or [chosen]
    built = [[dataset.collater([dataset[i] for i in indices]) for indices in group] for group in groups]
    return built if device == "cpu" else move_to_cuda(built)


def bleu(outputs: dict[int, tuple[list[int], float]], task, codec: PairCodec, references: list[str]) -> float:
    """Return the BLEU of the sentences that were translated."""
    order = sorted(outputs)
    texts = [codec.decode(task.target_dictionary.string(outputs[i][0])) for i in order]
    return evaluate(["s2s_bleu"], texts, [references[i] for i in order])["BLEU"]["score"]


def figures(name: str, taken: list[float], outputs: dict, seconds: dict, sentences: list[int], pair: Models) -> dict:
    """Return the row of one system from its and stock's seconds in each round and the outputs."""
    mine, stock = outputs[name], outputs[STOCK]
    ratios = [other / own for own, other in zip(taken, seconds[STOCK], strict=True)]
    same = [i for i in mine if mine[i][0] == stock[i][0]]
    rate = sum(sentences[: len(taken)]) / sum(taken)
    row = {
        "system": name,
        "sentences/s": round(rate, 1),
        "tokens/s": round(rate * statistics.mean(len(tokens) for tokens, _ in mine.values())),
        "ratio to stock": round(statistics.median(ratios), 2),
        "range": f"{min(ratios):.2f} to {max(ratios):.2f}",
        "same": f"{len(same)}/{len(mine)}",
        "their scores differ by": f"{max((abs(mine[i][1] - stock[i][1]) for i in same), default=0):.0e}",
    }
    if pair.codec is not None and pair.references is not None:
        row["BLEU"] = round(bleu(mine, pair.task, pair.codec, pair.references), 2)
    return row


def parse_options() -> argparse.Namespace:
    """Return the options and check the device."""
    arguments = parser(__doc__)
    arguments.add_argument("--quick", action="store_true", help="batch 32 and beam 5 only, within 60 s; not written")
    arguments.add_argument("--equality", type=int, metavar="N", help="batch 32, beam 5 only, N sentences; not written")
    arguments.add_argument("--subset", default="test", help="what to translate; with --equality perhaps train")
    arguments.add_argument(
        "--untrained", action="store_true", help="random weights; the default of --quick if untrained"
    )
    arguments.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    arguments.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments.add_argument("--seconds", type=float, default=1200, help="of measuring, all settings together")
    arguments.add_argument("--memory", metavar="SYSTEM", help="measure only its peak memory, in this process")
    options = arguments.parse_args()
    options.untrained = options.untrained or (options.quick and not BEST.is_file())
    options.headline_only = options.quick or options.equality is not None
    check_device(options.device)
    return options


def measure_setting(
    options: argparse.Namespace, pair: Models, models: dict[str, nn.Module], batch: int, beam: int, started: float
) -> list[dict]:
    """Return the rows of every system for one batch size and beam."""
    built = systems(models, pair.task.target_dictionary, beam, lengths(pair))
    if options.quick:
        del built[STOCK_SEARCH]
    if options.device == "cpu" and options.threads > 1:
        built |= {f"{name}, workers": built[name].share(options.threads) for name in built if name.startswith("ours")}
    whole = (batch, beam) == HEADLINE[options.device]
    rounds = rounds_of(pair.task, options.subset, batch, options.device, whole)
    rounds = rounds * PASSES if options.equality is None else rounds[: options.equality // (4 * batch) + 1]
    deadline = started + 45 if options.quick else time.monotonic() + options.seconds / len(SETTINGS)
    if whole and not options.quick and not options.untrained:
        deadline = float("inf")
    seconds, outputs = measure(built, rounds, deadline, options.device)
    for system in built.values():
        system.stop()
    sentences = [sum(len(b["id"]) for b in round_) for round_ in rounds]
    rows = []
    for name, taken in seconds.items():
        row = {"batch": batch, "beam": beam, **figures(name, taken, outputs, seconds, sentences, pair)}
        if not options.headline_only and (batch, beam) == (128, 5) and name in models:
            row["peak MiB"] = round(peak_memory(name, options.device, options.untrained))
        rows.append(row)
    return rows


def lengths(pair: Models) -> dict[str, int]:
    """Return the limits of the search; random weights decode exactly 24 tokens."""
    return {"max_len_b": 200} if pair.references is not None else {"max_len_b": 24, "min_len": 24}


def summarize(rows: list[dict], device: str, trained: bool) -> str:
    """Return the last line: the fastest of our systems against stock in the headline's setting."""
    batch, beam = HEADLINE[device]
    decisive = {row["system"]: row for row in rows if (row["batch"], row["beam"]) == (batch, beam)}
    ours = [row for name, row in decisive.items() if name.startswith("ours")]
    fastest = max(ours, key=lambda row: row["ratio to stock"])
    difference = f"{fastest['BLEU'] - decisive[STOCK]['BLEU']:+.2f}" if trained else "unknown: the model is not trained"
    return (
        f"search ours/stock = {fastest['ratio to stock']:.2f} ({fastest['system'].removeprefix('ours, ')}, "
        f"batch {batch}, beam {beam}, BLEU difference {difference})"
    )


def main() -> None:
    """Measure every setting and write the results."""
    started = time.monotonic()
    options = parse_options()
    logging.disable(logging.INFO)
    warnings.simplefilter("ignore")  # fairseq calls functions that torch and Hydra deprecate
    torch.set_num_threads(options.threads)
    os.chdir(ROOT)

    pair = untrained() if options.untrained else load(options.subset)
    models = models_of(pair, options.device)
    if options.memory:
        dictionary = pair.task.target_dictionary
        system = systems({options.memory: models[options.memory]}, dictionary, 5, lengths(pair))[options.memory]
        print(own_peak_memory(system, rounds_of(pair.task, options.subset, 128, options.device, False)[0][0]))
        return
    rates = peak_rates(options.device)
    rows = []
    for batch, beam in [HEADLINE[options.device]] if options.headline_only else SETTINGS:
        rows += measure_setting(options, pair, models, batch, beam, started)
        print(table([row for row in rows if (row["batch"], row["beam"]) == (batch, beam)]), flush=True)
    about = f"{setting(options.device, options.threads)}; oneDNN's products of 160 x 512 x 8000: " + ", ".join(
        f"{name} {rate:,.0f} GFLOP/s" for name, rate in rates.items()
    )
    print(about)
    if not options.headline_only:
        record = {"about": about, "prepare": PREPARE, "train": TRAIN, "results": rows}
        name = "search_speed" if options.device == "cpu" else "search_speed.cuda"
        write_result(name, record, [str(__doc__).splitlines()[0], about, table(rows)])
    print(summarize(rows, options.device, pair.references is not None))


if __name__ == "__main__":
    main()
