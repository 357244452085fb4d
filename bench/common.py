"""What the benchmarks share: their command line, the commands they run, and their results."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
RESULTS = ROOT / "bench" / "results"


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help is a script's docstring as it stands."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def call(command: str, threads: int | None = None, messages: bool = True) -> str:
    """Run a command of this environment in the checkout and return its output; exit with it if the command fails.

    Args:
        command: as one types it.
        threads: of OpenMP; None leaves the choice to the libraries.
        messages: whether standard error is part of the output.
    """
    done = subprocess.run(**_process(command, threads), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout + done.stderr if messages else done.stdout


def cost(command: str, threads: int | None = None) -> tuple[float, float]:
    """Run a command like :func:`call`, and return its CPU time in seconds and its peak memory in MB."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(**_process(command, threads), stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if status:
            output.seek(0)
            sys.exit(f"{command}\n{output.read().decode(errors='replace')[-4000:]}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def _process(command: str, threads: int | None) -> dict[str, Any]:
    """Print a command, and return how to start its process."""
    print(f"$ {command}", file=sys.stderr, flush=True)
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    name, *words = shlex.split(command)
    return {"args": [str(BIN / name), *words], "cwd": ROOT, "env": environment}


def prepare(command: str) -> Path:
    """Run ``s2s prepare`` and return the folder that it names."""
    return ROOT / re.findall(r" tokens, in\s+(\S+)", call(command))[0]


def score(metrics: list[str], outputs: Path, references: Path, decode: Any = str) -> dict[str, float]:
    """Return the metrics of a file of ``fairseq-generate --results-path``.

    Args:
        metrics: their names in our registry.
        outputs: the folder that has ``generate-test.txt``.
        references: a line of text for each item.
        decode: makes text of a hypothesis.
    """
    from s2s_plugin.scoring.evaluate import evaluate
    from s2s_plugin.stages.generate.outputs import read_hypotheses

    lines = references.read_text(encoding="utf-8").splitlines()
    hypotheses = read_hypotheses(outputs / "generate-test.txt")
    scores = evaluate(metrics, [decode(hypotheses[index][1]) for index in range(len(lines))], lines)
    return {name: value["score"] for name, value in scores.items()}


def count_parameters(log: str) -> int:
    """Return the number of parameters that fairseq-train logs."""
    return int(re.findall(r"num\. shared model params: ([\d,]+)", log)[0].replace(",", ""))


def machine() -> str:
    """Return the machine and the version of torch in a few words."""
    return f"{os.cpu_count()} cores, {platform.machine()}, torch {version('torch')}"


def setting(device: str, threads: int) -> str:
    """Return the device, the threads and the versions that a speed depends on."""
    import torch

    return (
        f"{torch.cuda.get_device_name() if device == 'cuda' else platform.machine()}, {os.cpu_count()} cores, "
        f"{threads} threads; Python {platform.python_version()}, torch {version('torch')}, fairseq "
        f"{version('fairseq-fixed')}"
    )


def check_device(device: str) -> None:
    """Exit if the device is not there."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("--device cuda: torch finds no GPU")


def write_result(name: str, record: Any, paragraphs: Sequence[str] = ()) -> None:
    """Write ``bench/results/<name>.json``, and its paragraphs to the ``.md`` next to it."""
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    if paragraphs:
        (RESULTS / f"{name}.md").write_text("\n\n".join(paragraphs), encoding="utf-8")


def read_result(name: str) -> Any:
    """Return what ``write_result`` wrote; None if there is none."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def write_dictionaries(folder: Path, tokens: int) -> None:
    """Write the dictionaries from which a task builds a model; of ``tokens`` entries, four of them fairseq's own."""
    for name in ("dict.src.txt", "dict.tgt.txt", "train.src-tgt.src.idx"):  # the last one names the languages
        (folder / name).write_text("".join(f"w{index} 1\n" for index in range(tokens - 4)))


def table(rows: list[dict]) -> str:
    """Return a Markdown table; its columns are the keys of the longest row."""
    names: list[str] = max((list(row) for row in rows), key=len)
    lines = [names, ["---"] * len(names), *([str(row.get(name, "")) for name in names] for row in rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
