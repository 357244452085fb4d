"""Requests of many clients, answered by one model: those that wait at the same time are decoded together."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from s2s_plugin.errors import UserError
from s2s_plugin.package.model import Input, Model, Output
from s2s_plugin.search.state import OBSERVER, BeamState, Observer


class QueueFull(Exception):
    """More inputs wait than the server has room for."""


class Closed(Exception):
    """The server is about to end."""


@dataclass
class Request:
    """One input on its way."""

    source: Input
    options: Mapping[str, Any]
    constraints: Sequence[str] | None = None  # words that its outputs must contain
    prefix: str | Sequence[str] | None = None  # text or tokens that its outputs must begin with
    future: Future[list[Output]] = field(default_factory=Future)

    @property
    def key(self) -> str:
        """What requests of one batch have in common."""
        drawn = id(self.options) if self.options.get("sampling") else None  # draws depend on the place in the batch
        return repr((self.constraints is None, self.prefix is None, drawn, sorted(self.options.items())))


class Abandoned(Exception):
    """No client waits for a batch any more."""


class Abandonment(Observer):
    """Ends the search for a batch whose clients have all left."""

    def __init__(self, batch: Sequence[Request]):
        self.batch = batch

    def process(self, scores: Tensor, state: BeamState) -> Tensor:
        if all(request.future.cancelled() for request in self.batch):
            raise Abandoned
        return scores


class Batcher:
    """A model, the thread that decodes with it, and the requests that wait for it.

    There is no delay to fill a batch: while one is decoded, the next one gathers.

    Args:
        model: it decodes.
        max_batch: inputs of a batch at most.
        max_waiting: inputs that may wait; more are refused.
    """

    def __init__(self, model: Model, max_batch: int = 64, max_waiting: int = 256):
        self.model, self.max_batch, self.max_waiting = model, max_batch, max_waiting
        self.waiting: deque[Request] = deque()
        self.changed, self.closed = threading.Condition(), False
        self.thread = threading.Thread(target=self._work, name=f"decode {model.app}", daemon=True)
        self.thread.start()

    def submit(
        self,
        sources: Sequence[Input],
        options: Mapping[str, Any],
        constraints: Sequence[Sequence[str]] | None = None,
        prefix: Sequence[str | Sequence[str]] | None = None,
    ) -> list[Future[list[Output]]]:
        """Return a future for the outputs of each source.

        Raises:
            QueueFull: too many wait.
            Closed: no more are taken.
        """
        words: Sequence[Sequence[str] | None] = [None] * len(sources) if constraints is None else constraints
        starts: Sequence[str | Sequence[str] | None] = [None] * len(sources) if prefix is None else prefix
        each = zip(sources, words, starts, strict=True)
        requests = [Request(source, options, constraint, start) for source, constraint, start in each]
        with self.changed:
            if self.closed:
                raise Closed
            if len(self.waiting) + len(requests) > self.max_waiting:
                raise QueueFull
            self.waiting.extend(requests)
            self.changed.notify()
        return [request.future for request in requests]

    def close(self) -> None:
        """Take no more requests, and wait until those that are here are answered."""
        with self.changed:
            self.closed = True
            self.changed.notify()
        self.thread.join()

    def _work(self) -> None:
        while batch := self._next_batch():
            if batch := [request for request in batch if not request.future.cancelled()]:
                self._answer(batch)

    def _next_batch(self) -> list[Request]:
        """Wait for requests; return those with the options of the first one, or nothing at the end."""
        with self.changed:
            while not self.waiting and not self.closed:
                self.changed.wait()
            if not self.waiting:
                return []
            key = self.waiting[0].key
            batch = [request for request in self.waiting if request.key == key][: self.max_batch]
            chosen = set(map(id, batch))
            others = [request for request in self.waiting if id(request) not in chosen]
            self.waiting.clear()
            self.waiting.extend(others)
            return batch

    def _answer(self, batch: list[Request]) -> None:
        try:
            constraints = None if batch[0].constraints is None else [request.constraints or () for request in batch]
            sources = [request.source for request in batch]
            prefix = None if batch[0].prefix is None else [request.prefix or () for request in batch]
            context = copy_context()
            context.run(OBSERVER.set, Abandonment(batch))
            options = {"constraints": constraints, "prefix": prefix, **batch[0].options}
            results = context.run(lambda: self.model.outputs(sources, **options))
        except Exception as error:
            if len(batch) == 1 or not isinstance(error, UserError):
                for request in batch:
                    if request.future.set_running_or_notify_cancel():
                        request.future.set_exception(error)
            else:  # one of them cannot be used: the others are answered
                for request in batch:
                    self._answer([request])
            return
        for request, outputs in zip(batch, results, strict=True):
            if request.future.set_running_or_notify_cancel():
                request.future.set_result(outputs)
