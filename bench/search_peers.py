"""Beam search beside JoeyNMT, OpenNMT-py and Yoyodyne, in one interleaved run: sentences a second.

    python bench/search_peers.py      makes the peers' environments where they are missing, then measures: 8 minutes

Models of equal size, with random weights: embeddings, encoder (two directions of half of it), decoder and attention 512
wide, 2 + 2 LSTM layers, 8,000 symbols, tables shared where a system can. All have input feeding and Luong's attention
("general") but Yoyodyne, which has only a perceptron's (Bahdanau's) and feeds its context in.

Random weights will do, as every search takes 25 steps, which is checked: fairseq and ours by their lengths (24 symbols
and </s>), JoeyNMT and OpenNMT-py by theirs (25 symbols, </s> forbidden), Yoyodyne by its greatest length, and </s> made
impossible in its output layer, as it has no least. With beam 1 JoeyNMT and Yoyodyne search greedily.

Each system runs in a process of its own, which is asked for one batch after the other while the others wait. In each
round every system translates the same random sources of 8 to 24 symbols, in an order that rotates; a ratio is the
median over rounds. The first round is not counted, but for a system that it takes five times as long as stock lstm:
that one has no other, and its ratio is to the median of stock lstm.

The peers have environments of their own in ``data-bin/peers``, of 1.2 GB each, from PyPI; without a GPU
PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu spares gigabytes. A system that cannot be made to run is left
out, with its error. Results go to ``bench/results/search_peers.json`` and ``.md``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import random
import shlex
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from common import table
from peer_worker import STEPS, VOCABULARY
from search_models import ROOT, STOCK

from s2s_plugin.search.precision import PRECISIONS

RESULTS = ROOT / "bench" / "results" / "search_peers.json"
ENVIRONMENTS = ROOT / "data-bin" / "peers"
TORCH = f"torch=={version('torch').partition('+')[0]}"  # the same for all
# A peer, and what its search imports: it asks for other releases of torch, and for much that a search can spare.
PEERS = {
    "JoeyNMT": (
        "joeynmt==2.3.0",
        "numpy==2.4.6 pyyaml==6.0.3 packaging==26.3 importlib_metadata==10.2.0 matplotlib==3.11.2 tensorboard==2.21.0 "
        "sentencepiece==0.2.3 subword-nmt==0.3.8",
    ),
    "OpenNMT-py": (
        "OpenNMT-py==3.5.1",
        "numpy==2.4.6 configargparse==1.9.0 pyonmttok==1.38.1 rapidfuzz==3.14.6 regex==2026.11.15 pyahocorasick==2.3.1 "
        "fasttext-wheel==0.9.2 spacy==3.8.18",
    ),
    "Yoyodyne": (
        "yoyodyne==0.5.27",
        "numpy==2.4.6 pyyaml==6.0.3 lightning==2.6.6 torchmetrics==1.9.0 wandb==0.31.0 maxwell==0.2.6 rich==15.0.0 "
        "jsonargparse[signatures]==4.53.0",
    ),
}
SYSTEMS = [STOCK, *(f"ours, {precision}" for precision in PRECISIONS), *PEERS]
SETTINGS = {(32, 5): 0.6, (1, 5): 0.8, (32, 1): 1.0}  # batch and beam: the share of the time at which they end
ROUND = 8  # sentences of a round, or one batch
LONG = 5  # times stock's seconds: whose first round takes longer has no other
FEWEST = 3  # rounds
Batch = list[list[int]]  # sources


class Missing(Exception):
    """Why a system does not run here."""


def environment(peer: str) -> Path:
    """The interpreter that has a peer. Its environment is made where it is missing; Missing where it cannot be."""
    folder = ENVIRONMENTS / peer
    package, needs = PEERS[peer]
    python, ready = folder / "bin" / "python", folder / "ready"
    commands = [
        f"{python} -m pip --disable-pip-version-check install --quiet {words}"
        for words in (f"{TORCH} {needs}", f"--no-deps {package}")
    ]
    if not ready.is_file() or ready.read_text() != "\n".join(commands):
        venv.create(folder, clear=True, with_pip=True)
        for command in commands:
            print(f"$ {command}", file=sys.stderr, flush=True)
            done = subprocess.run(shlex.split(command), capture_output=True, text=True)
            if done.returncode != 0:
                raise Missing(f"{command}: {last_line(done.stderr)}")
        ready.write_text("\n".join(commands))
    return python


def last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "nothing was said")


class Worker:
    """A process that translates with one system, ``peer_worker.py``."""

    def __init__(self, name: str, python: Path, threads: int):
        self.words = [str(python), str(ROOT / "bench" / "peer_worker.py"), name, str(threads)]
        self.log = ENVIRONMENTS / f"{name}.log"
        ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
        environ = os.environ | {"OMP_NUM_THREADS": str(threads)}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                self.words, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )

    def answer(self) -> dict:
        """What it says next: first of itself, then to a question. Missing where it has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise Missing(f"{shlex.join(self.words)}: {last_line(self.log.read_text())}")
        return json.loads(line)

    def translate(self, batches: list[Batch], beam: int) -> float:
        """Seconds."""
        assert self.process.stdin is not None
        seconds = 0.0
        for batch in batches:
            print(json.dumps({"sources": batch, "beam": beam}), file=self.process.stdin, flush=True)
            answer = self.answer()
            lengths = [len(output) for output in answer["outputs"]]
            if lengths != [STEPS] * len(batch):
                raise Missing(f"its outputs are {lengths} symbols long")
            seconds += answer["seconds"]
        return seconds

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def interpreters() -> tuple[dict[str, Path], dict[str, str]]:
    """Of the systems that can be had here, and why the others cannot."""
    pythons, missing = {name: Path(sys.executable) for name in SYSTEMS if name not in PEERS}, {}
    for peer in PEERS:
        try:
            pythons[peer] = environment(peer)
        except Missing as error:
            missing[peer] = str(error)
    return pythons, missing


def rounds(batch: int) -> Iterator[list[Batch]]:
    """Batches of random sources, each with its longest first, without end."""
    draw = random.Random(1)
    while True:
        lengths = [
            sorted((draw.randint(8, 24) for _ in range(batch)), reverse=True) for _ in range(max(ROUND // batch, 1))
        ]
        # the lowest symbols are special ones in some system
        yield [[[draw.randrange(10, VOCABULARY) for _ in range(length)] for length in of_one] for of_one in lengths]


def measure(
    workers: dict[str, Worker], batch: int, beam: int, deadline: float
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Seconds of each round that counts, of each system, and what ended those that fail."""
    seconds: dict[str, list[float]] = {name: [] for name in workers}
    missing = {}
    order = list(workers)
    longest = float("inf")
    for number, batches in enumerate(rounds(batch)):
        if number > FEWEST and time.monotonic() > deadline:
            break
        for name in tuple(order):
            try:
                taken = workers[name].translate(batches, beam)
            except Missing as error:
                missing[name] = str(error)
                order.remove(name)
                continue
            if number == 0 and name == STOCK:
                longest = LONG * taken
            if number > 0 or taken > longest:
                seconds[name].append(taken)
            if number == 0 and taken > longest:
                order.remove(name)
        order = order[1:] + order[:1]
    return {name: taken for name, taken in seconds.items() if taken}, missing


def figures(taken: list[float], stock: list[float], sentences: int) -> dict:
    """Of one system: from its and stock's seconds in rounds of so many sentences."""
    ratios = [other / own for own, other in zip(itertools.cycle(taken), stock, strict=False)]
    return {
        "sentences/s": round(sentences / statistics.median(taken), 2),
        "seconds a round": round(statistics.median(taken), 3),
        "ratio to stock": round(statistics.median(ratios), 2),
        "range": f"{min(ratios):.2f} to {max(ratios):.2f}",
        "rounds": len(taken),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=440, help="when environments are there: all settings together")
    options = parser.parse_args()
    os.chdir(ROOT)

    pythons, missing = interpreters()
    began, load = time.monotonic(), os.getloadavg()[0]
    workers = {name: Worker(name, python, options.threads) for name, python in pythons.items()}
    abouts: dict[str, dict] = {}
    for name in tuple(workers):
        try:
            abouts[name] = workers[name].answer()
        except Missing as error:
            missing[name] = str(error)
            del workers[name]
    rows = []
    for (batch, beam), share in SETTINGS.items():
        seconds, failed = measure(workers, batch, beam, began + share * options.seconds)
        missing |= {f"{name}, batch {batch}, beam {beam}": why for name, why in failed.items()}
        here = [
            {"batch": batch, "beam": beam, "system": name, "parameters": abouts[name]["parameters"]}
            | figures(taken, seconds[STOCK], max(ROUND, batch))
            for name, taken in seconds.items()
        ]
        print(table(here), flush=True)
        rows += here
    for worker in workers.values():
        worker.close()
    versions = {name: number for said in abouts.values() for name, number in said["versions"].items()}
    about = (
        f"`{shlex.join(['python', 'bench/search_peers.py', *sys.argv[1:]])}`: {platform.machine()}, {os.cpu_count()} "
        f"cores, {options.threads} threads, load {load:.1f} at the start; Python {platform.python_version()}, "
        + ", ".join(f"{name} {number}" for name, number in versions.items())
    )
    print(about)
    for name, why in missing.items():
        print(f"left out: {name}: {why}")
    RESULTS.write_text(json.dumps({"about": about, "left out": missing, "results": rows}, indent=2) + "\n")
    left_out = "".join(f"\nLeft out: {name}: {why}\n" for name, why in missing.items())
    title, _, *how, _ = str(__doc__).split("\n\n")
    RESULTS.with_suffix(".md").write_text("\n\n".join([title, about, *how, table(rows)]) + left_out)


if __name__ == "__main__":
    main()
