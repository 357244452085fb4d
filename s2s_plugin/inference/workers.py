"""Several processes for a search on a CPU: copies of this one, with one thread each.

A search is many small steps. Threads wait for each other in each of them; processes that search for different
sentences do not wait at all.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from s2s_plugin.errors import UserError

WORTHWHILE = 100  # items for each process; fewer do not make up for its beginning
MOST = 8  # processes, unless more are asked for: each has a model of its own


def fitting(asked: int, items: int, cpu: bool) -> int:
    """Number of processes for so many items.

    Args:
        asked: 0: as many as pay, one for each thread that torch would use here.
        cpu: whether the search runs on one.

    Raises:
        UserError: the number asked for is none, or is for a GPU.
    """
    if asked < 0 or (asked > 1 and not cpu):
        raise UserError(f"workers={asked}: give the number of processes on a CPU, 1 on a GPU, or 0 to leave it open")
    if asked or not cpu:
        return max(1, min(asked, items))
    return max(1, min(torch.get_num_threads(), MOST, items // WORTHWHILE))


class Workers:
    """Processes that do ``work``; they end with this one, or with the block in which they are used.

    They are forked where they are first needed, so that they have at once what this process has loaded. After a fork
    GNU's OpenMP cannot start threads, but one thread needs none: torch's own data loaders rely on the same.

    Args:
        count: number of processes.
        work: takes a task and gives its result; both can be pickled. It may raise UserError.
    """

    def __init__(self, count: int, work: Callable[[Any], Any]):
        self.count, self.work = count, work
        self.processes: dict[Connection, Any] = {}

    def map(self, tasks: Iterable[Any]) -> list[Any]:
        """Results in the order of the tasks, which are begun in that order, each by whoever is free.

        Raises:
            UserError: from a task, or a process has died.
        """
        if not self.processes:
            self._start()
        try:
            return self._map(tasks)
        except UserError:
            self.stop()  # the others are still at tasks of this call
            raise

    def _map(self, tasks: Iterable[Any]) -> list[Any]:
        waiting, running, results = enumerate(tasks), dict[Connection, int](), dict[int, Any]()
        free = list(self.processes)
        while True:
            for connection, (number, task) in zip(free, waiting, strict=False):
                self._exchange(connection, Connection.send, task)
                running[connection] = number
            if not running:
                return [results[number] for number in range(len(results))]
            ready = wait(list(running))
            free = [connection for connection in running if connection in ready]
            for connection in free:
                result = self._exchange(connection, Connection.recv)
                if isinstance(result, UserError):
                    raise result
                results[running.pop(connection)] = result

    def _start(self) -> None:
        context = multiprocessing.get_context("fork")
        for _ in range(self.count):
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(self.work, there), daemon=True)
            process.start()
            there.close()
            self.processes[here] = process

    def stop(self) -> None:
        for connection, process in self.processes.items():
            process.terminate()
            process.join()
            connection.close()
        self.processes = {}

    def _exchange(self, connection: Connection, action: Callable[..., Any], *task: Any) -> Any:
        try:
            return action(connection, *task)
        except (EOFError, OSError):
            process = self.processes[connection]
            process.join()
            raise UserError(
                f"a process ended with exit code {process.exitcode}; if memory is short, set workers=1"
            ) from None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _serve(work: Callable[[Any], Any], connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    while True:
        with _quiet_end():
            task = connection.recv()
        try:
            result = work(task)
        except UserError as error:
            result = error
        with _quiet_end():
            connection.send(result)


@contextlib.contextmanager
def _quiet_end() -> Iterator[None]:
    """The parent has ended, and we have not noticed yet."""
    try:
        yield
    except (EOFError, OSError):
        sys.exit(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
