"""``s2s serve`` under load: requests per second and latencies, against the same model called one by one.

    s2s run app=nmt && s2s export runs/nmt/default --to en-de.s2s
    apt-get install wrk
    python bench/serve_load.py en-de.s2s runs/nmt/default      11 minutes, most of them for --memory

Each request is one sentence of the test set. wrk sends them over loopback from a process of its own, with 1, 8 and 64
connections that wait for their answers. A third process calls ``model.translate`` sentence by sentence. The two
take turns in each round, never at the same time, in the server's precision and with one thread for the decoder; a ratio
is the median over rounds. Then ``--memory`` requests from 64 connections show whether the server's resident memory
grows. Results go to ``bench/results/serve_load.json`` and ``.md``.
"""

from __future__ import annotations

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
from common import BIN, ROOT, parser, setting, table, write_result

SCRIPT = ROOT / "bench" / "serve_load.lua"
CLIENTS = (1, 8, 64)
MARKS = (1, 2, 5)  # times powers of ten: numbers of requests after which memory is read
START = re.compile(r"http://127\.0\.0\.1:(\d+)/")


class Server:
    """``s2s serve`` of one file, in a process."""

    def __init__(self, file: Path, precision: str):
        words = [str(BIN / "s2s"), "serve", str(file), "--precision", precision, "--port", "0"]
        self.process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
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


def watch_memory(server: Server, bodies: Path, requests: int) -> list[dict]:
    """Return rows of memory after 1,000, 2,000, 5,000, ... requests from 64 clients, up to ``requests``."""
    marks = [mark * 10**power for power in range(3, 8) for mark in MARKS if mark * 10**power <= requests]
    first, rows = server.answered(), list[dict]()
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
            rows.append({"requests": f"{mark:,}", "MB": round(server.megabytes())})
            print(rows[-1], file=sys.stderr, flush=True)
    finally:
        wrk.send_signal(signal.SIGINT)
        wrk.wait()
    return rows


def main() -> None:
    """Measure, and write the results."""
    options = parser(__doc__)
    options.add_argument("file", type=Path, help="made by s2s export")
    options.add_argument("run", type=Path, help="the run that it is of, whose test set is sent")
    options.add_argument("--precision", default="int8")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=10, help="of each measurement")
    options.add_argument("--memory", type=int, default=100_000, help="requests while memory is watched")
    args = options.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: apt-get install wrk")
    sentences = [json.loads(line)["source"] for line in (args.run / "outputs.jsonl").open(encoding="utf-8")]
    random.Random(1).shuffle(sentences)
    busy = os.getloadavg()[0]
    server, caller = Server(args.file, args.precision), Caller(args.file, args.precision, sentences)
    try:
        with TemporaryDirectory() as folder:
            bodies = Path(folder) / "bodies"
            bodies.write_text("".join(json.dumps({"inputs": [each]}) + "\n" for each in sentences))
            rows = measure(server, caller, bodies, args.rounds, args.seconds)
            memory = watch_memory(server, bodies, args.memory)
    finally:
        server.process.kill()
        caller.process.kill()
    words = f"--precision {args.precision} --rounds {args.rounds} --seconds {args.seconds:g} --memory {args.memory}"
    command = f"python bench/serve_load.py {args.file.name} runs/nmt/default {words}"
    where = f"{setting('cpu', 1)}; load {busy:.1f} at the start"
    record = {"command": command, "setting": where, "sentences": len(sentences), "load": rows, "memory": memory}
    summary, _, *others = (__doc__ or "").strip().split("\n\n")
    write_result(
        "serve_load", record, [summary, f"`{command}`: {where}", "\n\n".join(others), table(rows), table(memory)]
    )


if __name__ == "__main__":
    main()
