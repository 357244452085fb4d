"""Fork the environment's commands from a process that has imported their libraries: a start costs 0.1 s, not 3.

    python fork_server.py OWNER MODULE ...

Standard input is a listening socket, for several clients at once; the server ends with the process OWNER.
Each request is a JSON object of ``words``, ``cwd``, ``environment`` and ``limits``, with three file descriptors for the
command's standard streams; the answers are its process id and, when it has ended, its process id and exit code.
Several commands may run at once.
The command runs as in a process of its own: it is the child of a fork, of which the server keeps nothing.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import logging
import os
import random
import resource
import runpy
import select
import socket
import struct
import sys
import threading
import traceback
from pathlib import Path
from typing import NoReturn

import numpy as np

LONGEST_REQUEST = 2**18  # bytes


def preload(modules: list[str]) -> None:
    """Import them, and leave logging as in a new process: each command sets up its own."""
    sys.modules["pyarrow.plasma"] = None  # type: ignore[assignment]  # see s2s_plugin/compat.py
    for module in modules:
        importlib.import_module(module)
    logging.root.handlers.clear()
    logging.root.setLevel(logging.WARNING)
    gc.collect()
    gc.freeze()  # else the first collection in each child copies all of their memory


class Server:
    """What the server waits for, by the descriptors that are readable then."""

    def __init__(self, listener: socket.socket, owner: int):
        self.listener = listener
        self.life = os.pidfd_open(owner)
        self.clients: dict[int, socket.socket] = {}
        self.children: dict[int, tuple[int, socket.socket]] = {}  # each with the client that waits for its end
        self.events = select.poll()
        for descriptor in (self.life, listener.fileno()):
            self.events.register(descriptor, select.POLLIN)

    def serve(self) -> str:
        """Fork for each request; return only in the children, with the path of the program to run."""
        while True:
            for descriptor, _ in self.events.poll():
                if descriptor == self.life:
                    os._exit(0)
                elif descriptor == self.listener.fileno():
                    self.accept()
                elif descriptor in self.children:
                    self.tell_end(descriptor)
                elif (program := self.fork(descriptor)) is not None:
                    return program

    def accept(self) -> None:
        client, _ = self.listener.accept()
        _, user, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if user == os.getuid():
            self.clients[client.fileno()] = client
            self.events.register(client, select.POLLIN)

    def fork(self, descriptor: int) -> str | None:
        client = self.clients[descriptor]
        message, streams = b"", []
        with contextlib.suppress(ConnectionResetError):  # it has ended, and left answers unread
            message, streams, _, _ = socket.recv_fds(client, LONGEST_REQUEST, 3)
        if not message:
            self.events.unregister(descriptor)
            self.clients.pop(descriptor).close()
            return None
        child = os.fork()
        if child == 0:
            for each in (self.listener, *self.clients.values()):
                each.close()
            return become(json.loads(message), streams)
        for stream in streams:
            os.close(stream)
        end = os.pidfd_open(child)
        self.children[end] = child, client
        self.events.register(end, select.POLLIN)
        answer(client, str(child))
        return None

    def tell_end(self, descriptor: int) -> None:
        child, client = self.children.pop(descriptor)
        self.events.unregister(descriptor)
        os.close(descriptor)
        _, status = os.waitpid(child, 0)
        answer(client, f"{child} {os.waitstatus_to_exitcode(status)}")


def answer(client: socket.socket, message: str) -> None:
    """Send a message to a client, unless it has ended."""
    with contextlib.suppress(OSError):
        client.send(message.encode())


def become(request: dict, streams: list[int]) -> str:
    """Take over the streams, folder, environment, arguments and limits of a request."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", 1 if os.isatty(1) else -1, encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["words"]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    random.seed()
    np.random.seed()  # noqa: NPY002 (fairseq draws from it)
    for limit, value in request["limits"]:
        resource.setrlimit(limit, (value, value))
    return sys.argv[0]


def run(program: str) -> int:
    """Run a Python program as ``__main__``; return its exit code."""
    try:
        runpy.run_path(program, run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def leave(code: int) -> NoReturn:
    """End like an interpreter, without taking the libraries apart, which takes a second."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    control = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    preload(sys.argv[2:])
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a process with threads cannot fork safely"
    leave(run(Server(control, int(sys.argv[1])).serve()))
