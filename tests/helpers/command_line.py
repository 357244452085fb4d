"""Calling the real commands from tests, and a corpus to call them on."""

from __future__ import annotations

import functools
import io
import json
import os
import random
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SHARED = ROOT.parent / "shared" / "data"

PREPROCESS = "fairseq-preprocess -s src -t tgt --joined-dictionary --destdir bin --workers 1"
TRAIN = (
    "fairseq-train {data} --user-dir s2s_plugin --task s2s --arch s2s_tiny --share-all-embeddings --cpu "
    "--optimizer adam --lr 0.005 --clip-norm 1.0 --criterion label_smoothed_cross_entropy --label-smoothing 0.1 "
    "--max-tokens 1000 --num-workers 0 --no-epoch-checkpoints --log-format json --save-dir {save_dir}"
)
GENERATE = "fairseq-generate {data} --user-dir s2s_plugin --task s2s --cpu --path {path}"


LIBRARIES = ("torch", "fairseq", "hydra", "sacrebleu", "sentencepiece")
PRELOADED = {"s2s": ("s2s_plugin.stages.runner", "fairseq_cli.train", "matplotlib.pyplot"), "sacrebleu": ("sacrebleu",)}


def call(
    command: str | list[str], cwd: Path = ROOT, stdin: str | None = None, check: bool = True, timeout: float = 600
) -> subprocess.CompletedProcess:
    """Run one of the environment's commands as a user would, and return what it printed.

    Our own and fairseq's commands are forked from a process that has imported their libraries (see ``fork_server``),
    which gives the same results as ``call_process`` without the seconds that a start takes.
    """
    words = shlex.split(command) if isinstance(command, str) else command
    if not words[0].startswith(("s2s", "fairseq", "sacrebleu")):
        return call_process(words, cwd, stdin, check, timeout)
    with (
        tempfile.TemporaryFile() as source,
        tempfile.TemporaryFile() as stdout,
        tempfile.TemporaryFile() as stderr,
    ):
        source.write((stdin or "").encode())
        source.seek(0)
        streams = [source.fileno(), stdout.fileno(), stderr.fileno()]
        returncode = _server(words[0]).run([str(BIN / words[0]), *words[1:]], cwd, streams, timeout)
        outputs = []
        for stream in (stdout, stderr):
            stream.seek(0)
            outputs.append(io.TextIOWrapper(stream, encoding="utf-8").read())
    return _checked(subprocess.CompletedProcess(words, returncode, *outputs), check)


def call_process(
    command: str | list[str], cwd: Path = ROOT, stdin: str | None = None, check: bool = True, timeout: float = 600
) -> subprocess.CompletedProcess:
    """Run a command like ``call``, in a process that starts as a user's does."""
    words = shlex.split(command) if isinstance(command, str) else command
    done = subprocess.run(
        [str(BIN / words[0]), *words[1:]], cwd=cwd, input=stdin, env=_environment(), timeout=timeout,
        capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    return _checked(done, check)


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "COLUMNS": "120"}


def _checked(done: subprocess.CompletedProcess, check: bool) -> subprocess.CompletedProcess:
    if check and done.returncode != 0:
        output = f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        pytest.fail(f"{shlex.join(done.args)} ended with {done.returncode}\n{output}")
    return done


class ForkServer:
    """A process that forks commands; see ``fork_server``. It ends with this one."""

    def __init__(self, modules: tuple[str, ...]):
        self.requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.lock = threading.Lock()
        program = Path(__file__).with_name("fork_server.py")
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, str(program), *modules], stdin=theirs, stdout=subprocess.DEVNULL,
                cwd=ROOT, env=_environment(),
            )  # fmt: skip

    def run(self, words: list[str], cwd: Path, streams: list[int], timeout: float) -> int:
        """Run a command to its end and return its exit code."""
        request = {"words": words, "cwd": str(cwd), "environment": _environment()}
        with self.lock:
            self.requests.settimeout(60)
            socket.send_fds(self.requests, [json.dumps(request).encode()], streams)
            child = int(self.requests.recv(100))
            self.requests.settimeout(timeout)
            try:
                return int(self.requests.recv(100))
            except TimeoutError:
                os.kill(child, signal.SIGKILL)
                self.requests.settimeout(60)
                self.requests.recv(100)
                raise subprocess.TimeoutExpired(words, timeout) from None


def printed_commands(stderr: str) -> list[str]:
    """Return the plain fairseq commands that the stages printed, each in one line."""
    lines = re.sub(r" \\\n +", " ", stderr).splitlines()
    return [line.removeprefix("      $ ") for line in lines if line.startswith("      $ ")]


@functools.cache
def _server(command: str) -> ForkServer:
    return ForkServer(PRELOADED.get(command, LIBRARIES))


def write_reversed(
    folder: Path, sizes: dict[str, int], suffixes: tuple[str, str] = ("src", "tgt"), upper: bool = False
) -> None:
    """``<split>.src`` and ``<split>.tgt``: letters, and the same letters backwards (in upper case)."""
    draw = random.Random(1)
    folder.mkdir(parents=True, exist_ok=True)
    for split, size in sizes.items():
        words = [[draw.choice("abcdefgh") for _ in range(draw.randint(2, 7))] for _ in range(size)]
        (folder / f"{split}.{suffixes[0]}").write_text("".join(" ".join(w) + "\n" for w in words))
        backwards = "".join(" ".join(w[::-1]) + "\n" for w in words)
        (folder / f"{split}.{suffixes[1]}").write_text(backwards.upper() if upper else backwards)
