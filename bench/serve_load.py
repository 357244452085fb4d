"""``s2s serve`` under load: requests per second and latencies, against the same model called one by one.

    s2s run app=nmt && s2s export runs/nmt/default --to en-de.s2s
    apt-get install wrk libjemalloc2
    python bench/serve_load.py en-de.s2s runs/nmt/default      20 minutes, most of them for memory
    python bench/serve_load.py en-de.s2s runs/nmt/default --only memory

Each request is one sentence of the test set. wrk sends them over loopback from a process of its own, with 1, 8 and 64
connections that wait for their answers. A third process calls ``model.translate`` sentence by sentence. The two
take turns in each round, never at the same time, in the server's precision and with one thread for the decoder; a ratio
is the median over rounds. Then ``--memory`` requests from 64 connections show whether a server's resident memory grows,
with the allocator of the C library and with another one in its place. Results go to ``bench/results/serve_load.json``
and ``.md``.
"""

from __future__ import annotations

import argparse
import ctypes.util
import json
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from common import BIN, ROOT, parser, read_result, setting, table, write_result

SCRIPT = ROOT / "bench" / "serve_load.lua"
CLIENTS = (1, 8, 64)
MARKS = (1, 2, 5)  # times powers of ten: numbers of requests after which memory is read
START = re.compile(r"http://127\.0\.0\.1:(\d+)/")


class Server:
    """``s2s serve`` of one file, in a process."""

    def __init__(self, file: Path, precision: str, allocator: str = ""):
        words = [str(BIN / "s2s"), "serve", str(file), "--precision", precision, "--port", "0"]
        environment = os.environ | {"LD_PRELOAD": allocator}
        self.process = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        line = next((line for line in self.process.stderr if START.search(line)), None)
        if line is None:
            sys.exit("s2s serve does not start")
        self.url = f"http://127.0.0.1:{START.findall(line)[0]}"
        self.translate = f"{self.url}/v1/models/{file.stem}/translate"

    def megabytes(self) -> float:
        """Return its resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) / 1024

    def answered(self) -> int:
        """Return how many requests it has answered."""
        metrics = httpx.get(f"{self.url}/metrics", timeout=60).text
        counts = re.findall(r'^s2s_requests_total\{.*status="ok"\} (\S+)', metrics, re.MULTILINE)
        return int(sum(map(float, counts)))


class Caller:
    """The model in a process of its own, which translates sentence by sentence while it is its turn."""

    CODE = """
import json, sys, time, torch, s2s_plugin
torch.set_num_threads(1)
file, precision, sentences = json.loads(sys.stdin.readline())
model, number = s2s_plugin.load(file, precision=precision), 0
for line in sys.stdin:
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < float(line):
        model.translate([sentences[number % len(sentences)]])
        number, count = number + 1, count + 1
    print(count / (time.perf_counter() - began), flush=True)
"""

    def __init__(self, file: Path, precision: str, sentences: list[str]):
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._send(json.dumps([str(file), precision, sentences]))

    def run(self, seconds: float) -> float:
        """Return sentences per second."""
        self._send(str(seconds))
        assert self.process.stdout is not None
        return float(self.process.stdout.readline())

    def _send(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()


def load(url: str, bodies: Path, clients: int, seconds: float) -> dict:
    """Return what wrk measures, and requests per second."""
    words = ["wrk", "--threads", "1", "--connections", str(clients), "--duration", f"{seconds:g}s", "--timeout", "60s"]
    done = subprocess.run(
        [*words, "--script", str(SCRIPT), url], env=os.environ | {"BODIES": str(bodies)}, capture_output=True, text=True
    )
    result = json.loads(done.stdout.splitlines()[-1])
    if result["errors"]:
        sys.exit(f"{result['errors']} requests failed")
    return result | {"rate": result["requests"] / result["seconds"]}


def measure(server: Server, caller: Caller, bodies: Path, rounds: int, seconds: float) -> list[dict]:
    """Return a row for the calls one by one, and one for each number of clients."""
    alone, loads = list[float](), {clients: list[dict]() for clients in CLIENTS}
    for number in range(rounds + 1):
        kept = number > 0  # the first round is a warm-up
        alone += [caller.run(seconds)][:kept]
        for clients in CLIENTS:
            loads[clients] += [load(server.translate, bodies, clients, seconds)][:kept]
    rows: list[dict] = [{"": "called one by one", "requests/s": round(statistics.median(alone), 1), "ratio": 1.0}]
    for clients, results in loads.items():
        ratios = [result["rate"] / base for result, base in zip(results, alone, strict=True)]
        row = {
            "": f"{clients} client{'s' * (clients > 1)}",
            "requests/s": round(statistics.median(each["rate"] for each in results), 1),
        }
        row |= {"ratio": round(statistics.median(ratios), 2), "range": f"{min(ratios):.2f} to {max(ratios):.2f}"}
        for name in ("p50", "p95", "p99"):
            row[f"{name} in ms"] = round(statistics.median(each[name] for each in results))
        rows.append(row)
    return rows


def watch_memory(server: Server, bodies: Path, requests: int) -> dict[int, int]:
    """Return megabytes after 1,000, 2,000, 5,000, ... requests from 64 clients, up to ``requests``."""
    marks = [mark * 10**power for power in range(3, 8) for mark in MARKS if mark * 10**power <= requests]
    first, found = server.answered(), dict[int, int]()
    words = ["wrk", "--threads", "1", "--connections", "64", "--duration", "10h", "--timeout", "60s"]
    wrk = subprocess.Popen(
        [*words, "--script", str(SCRIPT), server.translate],
        env=os.environ | {"BODIES": str(bodies)},
        stdout=subprocess.DEVNULL,
    )
    try:
        for mark in marks:
            while server.answered() - first < mark:
                time.sleep(0.5)
            found[mark] = round(server.megabytes())
            print(f"{mark:,} requests: {found[mark]} MB", file=sys.stderr, flush=True)
    finally:
        wrk.send_signal(signal.SIGINT)
        wrk.wait()
    return found


def load_rows(args: argparse.Namespace, bodies: Path, sentences: list[str]) -> list[dict]:
    """Return what :func:`measure` does of a server and a caller."""
    server, caller = Server(args.file, args.precision), Caller(args.file, args.precision, sentences)
    try:
        return measure(server, caller, bodies, args.rounds, args.seconds)
    finally:
        server.process.kill()
        caller.process.kill()


def memory_rows(args: argparse.Namespace, bodies: Path) -> list[dict]:
    """Return a row for each number of requests, with a column for each allocator that is installed."""
    columns = {"MB": ""}
    if (library := ctypes.util.find_library("jemalloc")) is not None:
        columns["MB with jemalloc"] = library
    found = {}
    for column, allocator in columns.items():
        server = Server(args.file, args.precision, allocator)
        try:
            found[column] = watch_memory(server, bodies, args.memory)
        finally:
            server.process.kill()
    return [{"requests": f"{mark:,}"} | {column: found[column][mark] for column in columns} for mark in found["MB"]]


def main() -> None:
    """Measure, and write the results."""
    options = parser(__doc__)
    options.add_argument("file", type=Path, help="made by s2s export")
    options.add_argument("run", type=Path, help="the run that it is of, whose test set is sent")
    options.add_argument("--precision", default="int8")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=10, help="of each measurement")
    options.add_argument("--memory", type=int, default=100_000, help="requests while memory is watched")
    options.add_argument("--only", nargs="+", choices=("load", "memory"), default=["load", "memory"])
    args = options.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: apt-get install wrk")
    sentences = [json.loads(line)["source"] for line in (args.run / "outputs.jsonl").open(encoding="utf-8")]
    random.Random(1).shuffle(sentences)
    record = read_result("serve_load") or {}
    with TemporaryDirectory() as folder:
        bodies = Path(folder) / "bodies"
        bodies.write_text("".join(json.dumps({"inputs": [each]}) + "\n" for each in sentences))
        command = f"python bench/serve_load.py {args.file.name} runs/nmt/default --precision {args.precision}"
        busy = f"load {os.getloadavg()[0]:.1f} at the start"
        if "load" in args.only:
            words = f"--rounds {args.rounds} --seconds {args.seconds:g}"
            record["load command"] = f"{command} --only load {words}; {setting('cpu', 1)}; {busy}"
            record["load"] = load_rows(args, bodies, sentences)
        if "memory" in args.only:
            record["memory command"] = f"{command} --only memory --memory {args.memory}; {setting('cpu', 1)}; {busy}"
            record["memory"] = memory_rows(args, bodies)
    write_result("serve_load", record, paragraphs(record))


def paragraphs(record: dict) -> list[str]:
    """Return the page of a record: what was measured, and each table after the command that made it."""
    summary, _, *others = (__doc__ or "").strip().split("\n\n")
    measured = [name for name in ("load", "memory") if name in record]
    tables = [f"`{record[f'{name} command']}`\n\n{table(record[name])}" for name in measured]
    return [summary, "\n\n".join(others), *tables]


if __name__ == "__main__":
    main()
