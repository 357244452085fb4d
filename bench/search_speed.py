"""Beam search: ours in each precision beside fairseq's own search, in one interleaved run: sentences a second.

    python bench/search_speed.py            prepares data, trains a model (40 minutes), then measures (20 minutes)
    python bench/search_speed.py --quick    batch 32, beam 5 alone, within 60 s; results not kept
    python bench/search_speed.py --equality 2000 --subset train
    python bench/search_speed.py --device cuda --untrained --seconds 240

The last one needs nothing but ``make setup`` on a machine with an Nvidia GPU, and ends within 8 minutes.

The model is fairseq's own ``lstm``: 2 + 2 layers, 512 wide, 8,000 joint symbols, trained on LibreOffice's help texts
(en-de). ``s2s import-lstm`` makes it one of ours with the same outputs, so that all systems search for the same:

    stock lstm              fairseq's SequenceGenerator and model
    stock search, our model fairseq's SequenceGenerator
    ours, fp32 bf16 int8    our search, the decoder's products in that precision
    ..., workers            the same by as many processes as there are threads, one thread each, as ``s2s generate``

In each round every system translates the same sentences of the test set, in an order that rotates; a ratio is the
median over rounds. At batch 32 and beam 5 the rounds cover the whole test set, and BLEU is of it; elsewhere they are a
sample. "same" counts the best hypotheses equal to stock lstm's. Memory is the peak of a fresh process over that before
its first batch of 128. Without a trained model, weights and sources are random, and every output has 24 symbols.
Results go to ``bench/results/search_speed.json`` and ``.md``, those of a GPU to ``search_speed.cuda.json`` and ``.md``.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import random
import re
import statistics
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from common import table
from fairseq.sequence_generator import SequenceGenerator
from fairseq.utils import move_to_cuda
from search_models import (
    BEST,
    PREPARE,
    ROOT,
    STOCK,
    STOCK_SEARCH,
    TRAIN,
    Trained,
    load,
    models_of,
    precisions,
    untrained,
)
from torch import nn

from s2s_plugin.inference.workers import Workers
from s2s_plugin.search.beam import BeamSearch
from s2s_plugin.search.options import BeamOptions
from s2s_plugin.search.precision import ON_CPU, ON_GPU
from s2s_plugin.stages.score import evaluate
from s2s_plugin.text.codec import PairCodec

RESULTS = ROOT / "bench" / "results" / "search_speed.json"
HEADLINE = {"cpu": (32, 5), "cuda": (128, 5)}  # batch and beam of the last line
PASSES = 5  # at most, over the sentences
SETTINGS = [(32, 5), (1, 5), (128, 5), (32, 1), (1, 1), (128, 1)]


@dataclass
class System:
    """A model and the search that asks it."""

    model: nn.Module
    search: Any
    workers: Workers | None = None

    def translate(self, batches: list[dict]) -> list[list[tuple[list[int], float]]]:
        """The best hypothesis of each sentence, and its score."""
        return [self._one(batch) for batch in batches] if self.workers is None else self.workers.map(batches)

    def share(self, workers: int) -> System:
        """The same by several processes."""
        return System(self.model, self.search, Workers(workers, self._one))

    def stop(self) -> None:
        if self.workers is not None:
            self.workers.stop()

    def _one(self, batch: dict) -> list[tuple[list[int], float]]:
        found = self.search.generate([self.model], batch)
        return [(best[0]["tokens"].tolist(), float(best[0]["score"])) for best in found]


def systems(models: dict[str, Any], dictionary, beam: int, length: dict[str, Any]) -> dict[str, System]:
    """All of them, for one size of the beam."""
    made = {}
    for name, model in models.items():
        if name in (STOCK, STOCK_SEARCH):
            search: object = SequenceGenerator([model], dictionary, beam_size=beam, **length)
        else:
            search = BeamSearch([model], dictionary, BeamOptions(beam=beam, **length), name.split(", ")[1])
        made[name] = System(model, search)
    return made


def peak_memory(name: str, device: str, random_weights: bool) -> float:
    """MiB over what a fresh process (on a GPU: its memory) has before, while 128 sentences are translated, beam 5."""
    words = [sys.executable, __file__, "--memory", name, "--device", device, *["--untrained"] * random_weights]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[-1])


def own_peak_memory(system: System, batch: dict) -> float:
    if next(system.model.parameters()).is_cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        system.translate([batch])
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    system.translate([batch])
    return (resident("VmHWM") - before) / 2**10


def resident(field: str) -> int:
    """KiB, of /proc/self/status."""
    return int(re.findall(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())[0])


def peak_rates(device: str) -> dict[str, float]:
    """GFLOP/s of the product that writes 160 hypotheses' scores, by precision."""
    linear, x = nn.Linear(512, 8000).to(device), torch.randn(160, 512, device=device)
    rates = {}
    for precision in precisions(device):
        kind = (ON_CPU if device == "cpu" else ON_GPU).get(precision)
        layer = linear if kind is None else kind(linear.weight, linear.bias)
        seconds = []
        for _ in range(20):
            synchronise(device)
            began = time.perf_counter()
            with torch.no_grad():
                layer(x)
            synchronise(device)
            seconds.append(time.perf_counter() - began)
        rates[precision] = 2 * 160 * 512 * 8000 / statistics.median(seconds[5:]) / 1e9
    return rates


def synchronise(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def measure(
    made: dict[str, System], batches: list[list[dict]], deadline: float, device: str
) -> tuple[dict[str, list[float]], dict[str, dict[int, tuple[list[int], float]]]]:
    """Seconds of each round, and the best hypotheses by sentence, of each system. A round is a list of batches."""
    seconds: dict[str, list[float]] = {name: [] for name in made}
    outputs: dict[str, dict[int, tuple[list[int], float]]] = {name: {} for name in made}
    for system in made.values():
        system.translate(batches[0])  # kernels are chosen at the first call
    order = list(made)
    for number, round_ in enumerate(batches):
        began = time.monotonic()
        for name in order:
            synchronise(device)
            started = time.perf_counter()
            found = made[name].translate(round_)
            synchronise(device)
            seconds[name].append(time.perf_counter() - started)
            for batch, hypotheses in zip(round_, found, strict=True):
                outputs[name].update(zip(batch["id"].tolist(), hypotheses, strict=True))
        order = order[1:] + order[:1]
        if number >= 2 and 2 * time.monotonic() - began > deadline:
            break
    return seconds, outputs


def rounds_of(task, subset: str, batch: int, device: str, whole: bool) -> list[list[dict]]:
    """Batches of like lengths as fairseq-generate makes them, in random order; some of them make a round."""
    dataset = task.dataset(subset)
    batches = task.get_batch_iterator(dataset, max_sentences=batch, seed=1, disable_iterator_cache=True)
    chosen = [indices for indices in batches.frozen_batches if len(indices) == batch or whole]
    random.Random(1).shuffle(chosen)
    if not chosen:
        sys.exit(f"the {subset} set has fewer than {batch} sentences")
    size = 8 if batch == 1 else 4
    groups = [chosen[start : start + size] for start in range(0, len(chosen), size)]
    groups = groups if whole else [group for group in groups if len(group) == size] or [chosen]
    made = [[dataset.collater([dataset[i] for i in indices]) for indices in group] for group in groups]
    return made if device == "cpu" else move_to_cuda(made)


def bleu(outputs: dict[int, tuple[list[int], float]], task, codec: PairCodec, references: list[str]) -> float:
    """Of the sentences that were translated."""
    order = sorted(outputs)
    texts = [codec.decode(task.target_dictionary.string(outputs[i][0])) for i in order]
    return evaluate(["s2s_bleu"], texts, [references[i] for i in order])["BLEU"]["score"]


def figures(name: str, taken: list[float], outputs: dict, seconds: dict, sentences: list[int], found: Trained) -> dict:
    """Of one system, from its and stock's seconds in each round and the outputs."""
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
    if found.codec is not None and found.references is not None:
        row["BLEU"] = round(bleu(mine, found.task, found.codec, found.references), 2)
    return row


def main() -> None:
    began = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="batch 32 and beam 5 alone, within 60 s; not kept")
    parser.add_argument("--equality", type=int, metavar="N", help="batch 32 and beam 5 alone, N sentences; not kept")
    parser.add_argument("--subset", default="test", help="what to translate; with --equality perhaps train")
    parser.add_argument("--untrained", action="store_true", help="take random weights; --quick does so if need be")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seconds", type=float, default=1200, help="of measuring, all settings together")
    parser.add_argument("--memory", metavar="SYSTEM", help="measure its peak memory in this process alone")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("--device cuda: torch finds no GPU here")
    logging.disable(logging.INFO)
    warnings.simplefilter("ignore")  # fairseq calls much that torch and Hydra deprecate
    torch.set_num_threads(options.threads)
    os.chdir(ROOT)

    kept = not options.quick and options.equality is None
    random_weights = options.untrained or (options.quick and not BEST.is_file())
    found = untrained() if random_weights else load(options.subset)
    dictionary, models = found.task.target_dictionary, models_of(found, options.device)
    length = {"max_len_b": 200} if found.references is not None else {"max_len_b": 24, "min_len": 24}
    if options.memory:
        system = systems({options.memory: models[options.memory]}, dictionary, 5, length)[options.memory]
        print(own_peak_memory(system, rounds_of(found.task, options.subset, 128, options.device, False)[0][0]))
        return
    rates = peak_rates(options.device)
    rows = []
    headline = HEADLINE[options.device]
    for batch, beam in SETTINGS if kept else [headline]:
        made = systems(models, dictionary, beam, length)
        if options.quick:
            del made[STOCK_SEARCH]
        if options.device == "cpu" and options.threads > 1:
            made |= {f"{name}, workers": made[name].share(options.threads) for name in made if name.startswith("ours")}
        whole = (batch, beam) == headline
        rounds = rounds_of(found.task, options.subset, batch, options.device, whole)
        rounds = rounds * PASSES if options.equality is None else rounds[: options.equality // (4 * batch) + 1]
        deadline = began + 45 if options.quick else time.monotonic() + options.seconds / len(SETTINGS)
        if whole and not options.quick and not random_weights:
            deadline = float("inf")
        seconds, outputs = measure(made, rounds, deadline, options.device)
        for system in made.values():
            system.stop()
        sentences = [sum(len(b["id"]) for b in round_) for round_ in rounds]
        here = []
        for name, taken in seconds.items():
            row = {"batch": batch, "beam": beam, **figures(name, taken, outputs, seconds, sentences, found)}
            if kept and (batch, beam) == (128, 5) and name in models:
                row["peak MiB"] = round(peak_memory(name, options.device, random_weights))
            here.append(row)
        rows += here
        print(table(here), flush=True)
    about = (
        f"{torch.cuda.get_device_name() if options.device == 'cuda' else platform.machine()}, {os.cpu_count()} cores, "
        f"{options.threads} threads; Python {platform.python_version()}, torch {version('torch')}, fairseq "
        f"{version('fairseq-fixed')}; oneDNN's products of 160 x 512 x 8000: "
        + ", ".join(f"{name} {rate:,.0f} GFLOP/s" for name, rate in rates.items())
    )
    print(about)
    if kept:
        results = RESULTS.with_suffix(".json" if options.device == "cpu" else ".cuda.json")
        results.write_text(
            json.dumps({"about": about, "prepare": PREPARE, "train": TRAIN, "results": rows}, indent=2) + "\n"
        )
        results.with_suffix(".md").write_text(f"{str(__doc__).splitlines()[0]}\n\n{about}\n\n{table(rows)}")
    decisive = {row["system"]: row for row in rows if (row["batch"], row["beam"]) == headline}
    fastest = max(
        (row for name, row in decisive.items() if name.startswith("ours")), key=lambda row: row["ratio to stock"]
    )
    difference = "not known: the model is not trained"
    if found.references is not None:
        difference = f"{fastest['BLEU'] - decisive[STOCK]['BLEU']:+.2f}"
    print(
        f"search ours/stock = {fastest['ratio to stock']:.2f} ({fastest['system'].removeprefix('ours, ')}, "
        f"batch {headline[0]}, beam {headline[1]}, BLEU difference {difference})"
    )


if __name__ == "__main__":
    main()
