"""Calling the real commands from tests, and a corpus to call them on."""

from __future__ import annotations

import contextlib
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
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

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


# What the commands import: all that is slow, torch's compiler for their optimizers too.
LIBRARIES = ("torch._dynamo", "fairseq", "hydra", "sacrebleu", "sentencepiece", "scipy.sparse.csgraph")
PRELOADED = {
    "s2s": (
        "s2s_plugin.cli",
        "hydra._internal.hydra",
        "s2s_plugin.stages.runner",
        "s2s_plugin.report.page",
        "s2s_plugin.report.drawing.attention",
        "fairseq_cli.train",
        "sklearn.feature_extraction.text",
        *LIBRARIES,
    ),
    "sacrebleu": ("sacrebleu",),
}


def call(
    command: str | list[str],
    cwd: Path = ROOT,
    stdin: str | bytes | None = None,
    check: bool = True,
    timeout: float = 600,
    limits: dict[int, int] | None = None,
) -> subprocess.CompletedProcess:
    """Run one of the environment's commands as a user would, and return what it printed.

    Our own and fairseq's commands, and programs of this repository (``docs/reference.py``), are forked from a process
    that has imported their libraries (see ``fork_server``), which gives the same results as ``call_process`` without
    the seconds that a start takes. ``limits``: of resources.
    """
    words = shlex.split(command) if isinstance(command, str) else command
    source = stdin.encode() if isinstance(stdin, str) else stdin or b""
    if not words[0].startswith(("s2s", "fairseq", "sacrebleu")) and not words[0].endswith(".py"):
        return call_process(words, cwd, source.decode(), check, timeout)
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = start(words, cwd, source, stdout, stderr, limits)
        try:
            returncode = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait(60)
            raise
        outputs = []
        for stream in (stdout, stderr):
            stream.seek(0)
            outputs.append(io.TextIOWrapper(stream, encoding="utf-8").read())
    return _checked(subprocess.CompletedProcess(words, returncode, *outputs), check)


def start(
    command: str | list[str],
    cwd: Path = ROOT,
    stdin: bytes | int | IO = b"",
    stdout: int | IO = subprocess.DEVNULL,
    stderr: int | IO = subprocess.DEVNULL,
    limits: dict[int, int] | None = None,
) -> Forked:
    """Start one of our own or fairseq's commands like ``call``, and do not wait for its end."""
    words = shlex.split(command) if isinstance(command, str) else command
    with tempfile.TemporaryFile() as source, Path(os.devnull).open("wb") as nowhere:
        if isinstance(stdin, bytes):
            source.write(stdin)
            source.seek(0)
            stdin = source
        streams = [nowhere if stream == subprocess.DEVNULL else stream for stream in (stdin, stdout, stderr)]
        numbers = [stream if isinstance(stream, int) else stream.fileno() for stream in streams]
        server = _server(PRELOADED.get(words[0], LIBRARIES))
        program = ROOT / words[0] if words[0].endswith(".py") else BIN / words[0]
        return server.start([str(program), *words[1:]], cwd, numbers, limits or {})


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
    """A process that forks commands; see ``fork_server``. pytest-xdist's workers share it; it ends with the run."""

    def __init__(self, modules: tuple[str, ...]):
        owner = os.getppid() if os.environ.get("PYTEST_XDIST_WORKER") else os.getpid()
        name = f"\0s2s-tests-{owner}-{modules[0]}"  # of no file
        program = Path(__file__).with_name("fork_server.py")
        self.requests = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        while self.requests.connect_ex(name):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener, contextlib.suppress(OSError):
                listener.bind(name)  # fails if another worker has begun to start the server
                listener.listen()
                self.process = subprocess.Popen(
                    [sys.executable, str(program), str(owner), *modules], stdin=listener, stdout=subprocess.DEVNULL,
                    cwd=ROOT, env=_environment(),
                )  # fmt: skip
        self.codes: dict[int, int] = {}  # exit codes by process
        self.lock = threading.Lock()

    def start(self, words: list[str], cwd: Path, streams: list[int], limits: dict[int, int]) -> Forked:
        """Start a command with these standard streams."""
        request = {"words": words, "cwd": str(cwd), "environment": _environment(), "limits": list(limits.items())}
        with self.lock:
            socket.send_fds(self.requests, [json.dumps(request).encode()], streams)
            while (answer := self.receive(300)) is None:  # a busy machine imports slowly
                pass
            return Forked(self, words, answer)

    def receive(self, timeout: float) -> int | None:
        """Return the process that has been started, or keep the code of one that has ended."""
        self.requests.settimeout(timeout)
        process, *code = map(int, self.requests.recv(100).split())
        if not code:
            return process
        self.codes[process] = code[0]
        return None


@dataclass
class Forked:
    """A command that runs, like ``subprocess.Popen``."""

    server: ForkServer
    words: list[str]
    pid: int

    def wait(self, timeout: float) -> int:
        """Return the exit code when the command has ended."""
        deadline = time.monotonic() + timeout
        with self.server.lock:
            while self.pid not in self.server.codes:
                try:
                    self.server.receive(max(0.0, deadline - time.monotonic()))
                except (TimeoutError, BlockingIOError):
                    raise subprocess.TimeoutExpired(self.words, timeout) from None
        return self.server.codes[self.pid]

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


def printed_commands(stderr: str) -> list[str]:
    """Return the plain fairseq commands that the stages printed, each in one line."""
    lines = re.sub(r" \\\n +", " ", stderr).splitlines()
    return [line.removeprefix("      $ ") for line in lines if line.startswith("      $ ")]


@functools.cache
def _server(modules: tuple[str, ...]) -> ForkServer:
    return ForkServer(modules)


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
