"""Beam search against JoeyNMT, OpenNMT-py and Yoyodyne, in one interleaved run: sentences per second.

    python bench/search_peers.py      builds the peers' environments on first use, then measures: 8 minutes

Models of equal size, with random weights: embeddings, encoder (half of it per direction), decoder and attention 512
wide, 2 + 2 LSTM layers, 8,000 tokens, tables shared where a system can. All have input feeding and Luong's attention
("general"), except Yoyodyne, which has only Bahdanau's and feeds its context in.

Random weights suffice, as every search takes 25 steps, which is checked: fairseq and ours by their lengths (24 tokens
and </s>), JoeyNMT and OpenNMT-py by theirs (25 tokens, </s> forbidden), Yoyodyne by its maximum length, with </s> made
impossible in its output layer, as it has no minimum. With beam 1 JoeyNMT and Yoyodyne search greedily.

Each system runs in a process of its own, which translates one batch after the other while the others wait. In each
round every system translates the same random sources of 8 to 24 tokens, in rotating order; a ratio is the median over
rounds. The first round is a warm-up, except for a system that takes five times as long as stock lstm: it has no other
round, and its ratio is to the median of stock lstm.

The peers have environments of their own in ``data-bin/peers``, of 1.2 GB each, from PyPI; without a GPU
PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu saves gigabytes. A system that cannot run is left out, with its
error. Results go to ``bench/results/search_peers.json`` and ``.md``.
"""

from __future__ import annotations

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

from common import ROOT, parser, table, write_result
from peer_worker import STEPS, VOCABULARY
from search_models import STOCK

from s2s_plugin.search.precision import PRECISIONS

ENVIRONMENTS = ROOT / "data-bin" / "peers"
TORCH = f"torch=={version('torch').partition('+')[0]}"  # the same for all
# A peer, and what its search imports; its own requirements name other releases of torch and much more.
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
SETTINGS = {(32, 5): 0.6, (1, 5): 0.8, (32, 1): 1.0}  # batch and beam: the fraction of the time at which they end
ROUND = 8  # sentences per round, or one batch
SLOW_FACTOR = 5  # times stock's seconds: a system whose first round takes longer has no other
MIN_ROUNDS = 3
Batch = list[list[int]]  # sources


class Unavailable(Exception):
    """A system does not run here."""


def build_environment(peer: str) -> Path:
    """Return the interpreter that has a peer; its environment is built on first use.

    Raises:
        Unavailable: the packages cannot be installed.
    """
    folder = ENVIRONMENTS / peer
    package, requirements = PEERS[peer]
    python, ready = folder / "bin" / "python", folder / "ready"
    commands = [
        f"{python} -m pip --disable-pip-version-check install --quiet {words}"
        for words in (f"{TORCH} {requirements}", f"--no-deps {package}")
    ]
    if not ready.is_file() or ready.read_text() != "\n".join(commands):
        venv.create(folder, clear=True, with_pip=True)
        for command in commands:
            print(f"$ {command}", file=sys.stderr, flush=True)
            done = subprocess.run(shlex.split(command), capture_output=True, text=True)
            if done.returncode != 0:
                raise Unavailable(f"{command}: {last_line(done.stderr)}")
        ready.write_text("\n".join(commands))
    return python


def last_line(text: str) -> str:
    """Return the last line that is not blank."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "no message")


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

    def read(self) -> dict:
        """Return the next line of its output: first its description, then the answer to a request.

        Raises:
            Unavailable: it has ended.
        """
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise Unavailable(f"{shlex.join(self.words)}: {last_line(self.log.read_text())}")
        return json.loads(line)

    def translate(self, batches: list[Batch], beam: int) -> float:
        """Translate the batches and return the seconds that the search took."""
        assert self.process.stdin is not None
        seconds = 0.0
        for batch in batches:
            print(json.dumps({"sources": batch, "beam": beam}), file=self.process.stdin, flush=True)
            answer = self.read()
            lengths = [len(output) for output in answer["outputs"]]
            if lengths != [STEPS] * len(batch):
                raise Unavailable(f"outputs must have {STEPS} tokens, got {lengths}")
            seconds += answer["seconds"]
        return seconds

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def interpreters() -> tuple[dict[str, Path], dict[str, str]]:
    """Return the interpreter of each available system, and why the others are not."""
    pythons, unavailable = {name: Path(sys.executable) for name in SYSTEMS if name not in PEERS}, {}
    for peer in PEERS:
        try:
            pythons[peer] = build_environment(peer)
        except Unavailable as error:
            unavailable[peer] = str(error)
    return pythons, unavailable


def rounds(batch: int) -> Iterator[list[Batch]]:
    """Yield batches of random sources, each with its longest first, without end."""
    draw = random.Random(1)
    while True:
        lengths = [
            sorted((draw.randint(8, 24) for _ in range(batch)), reverse=True) for _ in range(max(ROUND // batch, 1))
        ]
        # the lowest tokens are special in some system
        yield [[[draw.randrange(10, VOCABULARY) for _ in range(length)] for length in one] for one in lengths]


def measure(
    workers: dict[str, Worker], batch: int, beam: int, deadline: float
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Return each system's seconds in each round after the warm-up, and the errors of those that fail."""
    seconds: dict[str, list[float]] = {name: [] for name in workers}
    errors = {}
    order = list(workers)
    slow = float("inf")
    for number, batches in enumerate(rounds(batch)):
        if number > MIN_ROUNDS and time.monotonic() > deadline:
            break
        for name in tuple(order):
            try:
                elapsed = workers[name].translate(batches, beam)
            except Unavailable as error:
                errors[name] = str(error)
                order.remove(name)
                continue
            if number == 0 and name == STOCK:
                slow = SLOW_FACTOR * elapsed
            if number > 0 or elapsed > slow:
                seconds[name].append(elapsed)
            if number == 0 and elapsed > slow:
                order.remove(name)
        order = order[1:] + order[:1]
    return {name: taken for name, taken in seconds.items() if taken}, errors


def figures(taken: list[float], stock: list[float], sentences: int) -> dict:
    """Return the row of one system from its and stock's seconds in rounds of ``sentences`` sentences."""
    ratios = [other / own for own, other in zip(itertools.cycle(taken), stock, strict=False)]
    return {
        "sentences/s": round(sentences / statistics.median(taken), 2),
        "seconds a round": round(statistics.median(taken), 3),
        "ratio to stock": round(statistics.median(ratios), 2),
        "range": f"{min(ratios):.2f} to {max(ratios):.2f}",
        "rounds": len(taken),
    }


def main() -> None:
    """Measure every available system in every setting and write the results."""
    arguments = parser(__doc__)
    arguments.add_argument("--threads", type=int, default=os.cpu_count())
    arguments.add_argument("--seconds", type=float, default=440, help="of measuring, all settings together")
    options = arguments.parse_args()
    os.chdir(ROOT)

    pythons, left_out = interpreters()
    started, load = time.monotonic(), os.getloadavg()[0]
    workers = {name: Worker(name, python, options.threads) for name, python in pythons.items()}
    abouts: dict[str, dict] = {}
    for name in tuple(workers):
        try:
            abouts[name] = workers[name].read()
        except Unavailable as error:
            left_out[name] = str(error)
            del workers[name]
    rows = []
    for (batch, beam), share in SETTINGS.items():
        seconds, errors = measure(workers, batch, beam, started + share * options.seconds)
        left_out |= {f"{name}, batch {batch}, beam {beam}": why for name, why in errors.items()}
        setting = [
            {"batch": batch, "beam": beam, "system": name, "parameters": abouts[name]["parameters"]}
            | figures(taken, seconds[STOCK], max(ROUND, batch))
            for name, taken in seconds.items()
        ]
        print(table(setting), flush=True)
        rows += setting
    for worker in workers.values():
        worker.close()
    versions = {name: number for each in abouts.values() for name, number in each["versions"].items()}
    about = (
        f"`{shlex.join(['python', 'bench/search_peers.py', *sys.argv[1:]])}`: {platform.machine()}, {os.cpu_count()} "
        f"cores, {options.threads} threads, load {load:.1f} at the start; Python {platform.python_version()}, "
        + ", ".join(f"{name} {number}" for name, number in versions.items())
    )
    print(about)
    for name, why in left_out.items():
        print(f"left out: {name}: {why}")
    title, _, *how, _ = str(__doc__).split("\n\n")
    lines = "".join(f"\nLeft out: {name}: {why}\n" for name, why in left_out.items())
    record = {"about": about, "left out": left_out, "results": rows}
    write_result("search_peers", record, [title, about, *how, table(rows) + lines])


if __name__ == "__main__":
    main()
