"""Parallel search on a CPU: worker processes with one thread each.

A search is many small steps. Threads wait for each other in each of them; processes that decode different sentences do
not wait at all.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any

import torch

from s2s_plugin.errors import UserError

ITEMS_PER_WORKER = 100  # with fewer, starting a process takes longer than it saves
MAX_AUTO_WORKERS = 8  # each has a model of its own


def resolve_workers(requested: int, items: int, cpu: bool) -> int:
    """Return the number of worker processes for ``items`` items; for 0 ``requested``, as many as are worth starting.

    Raises:
        UserError: ``requested`` is negative, or more than 1 on a GPU.
    """
    if requested < 0 or (requested > 1 and not cpu):
        raise UserError(f"workers must be {'at least 0' if cpu else '0 or 1 on a GPU'}, got {requested}")
    if requested or not cpu:
        return max(1, min(requested, items))
    return max(1, min(torch.get_num_threads(), MAX_AUTO_WORKERS, items // ITEMS_PER_WORKER))


class Workers:
    """A pool of processes that apply ``function``; they end with this process or with the ``with`` block.

    The processes are forked at the first :meth:`map`, so that they share everything loaded until then, ``function``
    included, which need not be picklable; tasks and results must be. GNU OpenMP cannot start threads after a fork, but
    a single thread needs none; torch's data loaders rely on the same.
    """

    def __init__(self, count: int, function: Callable[[Any], Any]):
        self.count, self.function = count, function
        self._pool: ProcessPoolExecutor | None = None

    def map(self, tasks: Iterable[Any]) -> list[Any]:
        """Return the results in the order of the tasks.

        Raises:
            UserError: raised by a task, or a process has died.
        """
        if self._pool is None:
            fork = multiprocessing.get_context("fork")
            self._pool = ProcessPoolExecutor(self.count, fork, _initialize, (self.function,))
        try:
            return list(self._pool.map(_call, tasks))
        except BrokenProcessPool:
            self.stop()
            raise UserError("a worker process died, perhaps for lack of memory: set workers=1") from None
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the processes without waiting for their tasks."""
        if self._pool is not None:
            # shutdown() alone waits for running tasks, which may be minutes of a test set; the public
            # terminate_workers() comes with Python 3.14.
            for process in list((self._pool._processes or {}).values()):
                process.terminate()
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


_function: Callable[[Any], Any]  # of a worker process


def _initialize(function: Callable[[Any], Any]) -> None:
    global _function
    _function = function
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends the workers
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    torch.set_num_threads(1)


def _call(task: Any) -> Any:
    return _function(task)


def _exit_with_parent() -> None:
    """Exit when the parent has died: an executor's workers would wait for tasks forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
