"""Worker processes that end with their parent, and whose death is an error at once instead of a wait for ever."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing.connection import wait
from typing import Any

import torch

from s2s_plugin.errors import UserError

DIED = "a worker process died, perhaps for lack of memory: "
FEWER_WORKERS = "set workers=1"


class Workers:
    """A pool of processes that apply ``function``; they end with this process or with the ``with`` block.

    The processes are forked at the first :meth:`map`, so that they share everything loaded until then, ``function``
    included, which need not be picklable; tasks and results must be. GNU OpenMP cannot start threads after a fork, but
    a single thread needs none; torch's data loaders rely on the same.
    """

    def __init__(self, count: int, function: Callable[[Any], Any], remedy: str = FEWER_WORKERS):
        self.count, self.function, self.remedy = count, function, remedy
        self._pool: ProcessPoolExecutor | None = None

    def map(self, tasks: Iterable[Any]) -> list[Any]:
        """Return the results in the order of the tasks.

        Raises:
            UserError: raised by a task, or a process has died.
        """
        return list(self.imap(tasks))

    def imap(self, tasks: Iterable[Any], chunksize: int = 1) -> Iterator[Any]:
        """Yield the results in the order of the tasks, which are handed over ``chunksize`` at a time."""
        if self._pool is None:
            fork = multiprocessing.get_context("fork")
            self._pool = ProcessPoolExecutor(self.count, fork, _initialize, (self.function,))
        try:
            yield from self._pool.map(_call, tasks, chunksize=chunksize)
        except BrokenProcessPool:
            self.stop()
            raise UserError(DIED + self.remedy) from None
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


class Pool(ProcessPoolExecutor):
    """What fairseq's binarizer needs of ``multiprocessing.Pool``, which would wait for ever for a dead process."""

    def __init__(self, processes: int):
        super().__init__(processes, multiprocessing.get_context("fork"), _initialize)

    def apply_async(self, function: Callable, args: Sequence = (), kwds: Mapping[str, Any] | None = None) -> Any:
        """Start a task."""
        future: Any = self.submit(function, *args, **(kwds or {}))
        future.get = partial(_result, future)
        return future

    def close(self) -> None:
        """Accept no more tasks."""

    join = ProcessPoolExecutor.shutdown


def _result(future: Future) -> Any:
    try:
        return future.result()
    except BrokenProcessPool:
        raise UserError(DIED + FEWER_WORKERS) from None


_function: Callable[[Any], Any] | None  # of a worker process


def _initialize(function: Callable[[Any], Any] | None = None) -> None:
    global _function
    _function = function
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends the workers
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    torch.set_num_threads(1)


def _call(task: Any) -> Any:
    assert _function is not None
    return _function(task)


def _exit_with_parent() -> None:
    """Exit when the parent has died: an executor's workers would wait for tasks forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
