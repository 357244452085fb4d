"""Show in a browser how a training goes: losses, metric, time left, outputs and attention of each checkpoint."""

from __future__ import annotations

import argparse
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import torch

from s2s_plugin.errors import UserError
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.live.samples import Sampler
from s2s_plugin.tasks.user_dir import import_stored
from s2s_plugin.utils.console import note, say
from s2s_plugin.utils.paths import PACKAGE
from s2s_plugin.utils.untrusted import load_yaml

HOST, PORT = "127.0.0.1", 8008  # another one if it is taken
NAMES = ("127.0.0.1", "localhost")  # other names in a request are of a page that tries to read this one
PAUSE = 2.0  # seconds between two looks for a checkpoint
SHARE = 0.1  # of the time at most is spent on decoding
LINGER = 7.0  # seconds for which the last state can be fetched
POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'unsafe-inline'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
HEADERS |= {"Cache-Control": "no-store"}


def run(words: Sequence[str]) -> int:
    """Run ``s2s live``."""
    parser = argparse.ArgumentParser("s2s live", description=__doc__)
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run, such as runs/nmt/default")
    parser.add_argument("--port", type=int, help=f"default: {PORT}, or a free one if it is taken")
    parser.add_argument("--listener", type=int, help=argparse.SUPPRESS)  # file descriptor; stdin ends with the training
    options = parser.parse_args(words)
    folder = RunDir(options.run)
    if not folder.config.is_file():
        raise UserError(f"{options.run}: not the folder of a run such as runs/nmt/default")
    ended = threading.Event()
    if options.listener is not None:
        listener = socket.socket(fileno=options.listener)
        threading.Thread(target=_await_end, args=(ended,), daemon=True).start()
    else:
        listener = listen(options.port)
        say(f"      http://{HOST}:{listener.getsockname()[1]}/  (Ctrl-C ends)")
    with suppress(OSError, AttributeError):
        os.nice(19)
    torch.set_num_threads(1)
    serve(folder, listener, ended)
    return 0


def listen(port: int | None = None) -> socket.socket:
    """Return a socket that listens to this machine alone, by default at ``PORT`` or at any free port.

    Raises:
        UserError: there is none, or this one is taken.
    """
    for number in (PORT, 0) if port is None else (port,):
        with suppress(OSError, OverflowError):
            return socket.create_server((HOST, number))
    raise UserError(f"--port {port}: cannot listen there; choose another port, or leave it out")


def serve(run: RunDir, listener: socket.socket, ended: threading.Event) -> None:
    """Serve the page of a run until its training has ended, and a little longer for its last state."""
    from s2s_plugin.live.page import Page  # imports matplotlib

    options = load_yaml(run.config)
    import_stored((options.get("common") or {}).get("user_dir"), run.config)
    sampler = Sampler(run, options)
    page = Page(run, options, sampler)
    server = Server(listener, page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pause = PAUSE
    while not ended.wait(pause):
        started = os.times()
        sampler.update()
        now = os.times()
        pause = max(PAUSE, (now.user - started.user) / SHARE)
    sampler.update()
    page.ended = True
    time.sleep(LINGER)
    server.shutdown()


@contextmanager
def live_page(run: RunDir) -> Iterator[None]:
    """Serve the page of a training, by a process of the lowest priority, while the block runs.

    Nothing that goes wrong with it stops the training.
    """
    try:
        with listen() as listener:
            command = [sys.executable, "-P", "-m", f"{PACKAGE.name}.cli", "live", str(run.folder)]
            search = os.pathsep.join(filter(None, (str(PACKAGE.parent), os.environ.get("PYTHONPATH"))))
            process = subprocess.Popen(
                [*command, "--listener", str(listener.fileno())],
                pass_fds=[listener.fileno()],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the training
                env={**os.environ, "PYTHONPATH": search, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
            )
            note(f"live page: http://{HOST}:{listener.getsockname()[1]}/")
    except (OSError, UserError) as error:
        note(f"there is no live page: {error}")
        yield
        return
    try:
        yield
    finally:
        assert process.stdin is not None
        process.stdin.close()  # which also happens when this process is killed
        threading.Thread(target=process.wait, daemon=True).start()  # leaves no zombie


def _await_end(ended: threading.Event) -> None:
    sys.stdin.buffer.read()
    ended.set()


class Server(ThreadingHTTPServer):
    """Serves a page at a socket that listens already."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, page):
        super().__init__(listener.getsockname(), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.page, self.lock = page, threading.Lock()

    def handle_error(self, request, client_address) -> None:
        """Say nothing of a browser that has left."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Answers ``GET /`` and ``GET /live.js``."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 60
    server_version, sys_version = "s2s", ""
    types: ClassVar = {"/": "text/html; charset=utf-8", "/live.js": "text/javascript; charset=utf-8"}

    def do_GET(self) -> None:
        """Send the page, or its script."""
        if (urlsplit(f"//{self.headers.get('Host', '')}").hostname or "") not in NAMES:
            self.send_error(403, "this page is for this machine")
            return
        target = urlsplit(self.path)
        if target.path not in self.types:
            self.send_error(404)
            return
        if target.path == "/":
            at = re.fullmatch(r"at=([0-9]{1,6})", target.query)
            with self.server.lock:  # matplotlib draws one thing at a time
                content = self.server.page.render(int(at[1]) if at else None).encode()
        else:
            content = files("s2s_plugin.live").joinpath("live.js").read_bytes()
        self.send_response(200)
        for name, value in {"Content-Type": self.types[target.path], "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def end_headers(self) -> None:
        """Add what keeps the page to itself."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""
