"""The models that are served, behind their queues and counters."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from fastapi import HTTPException
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from s2s_plugin.errors import UserError
from s2s_plugin.package.exploration import Exploration
from s2s_plugin.package.model import Input, Model, Output
from s2s_plugin.server.batching import Batcher, Closed, QueueFull
from s2s_plugin.server.limits import Limits
from s2s_plugin.server.schemas import Search


class GivenUp(Exception):
    """Nobody waits for a search any more."""


class Full(HTTPException):
    """Too many inputs wait."""

    def __init__(self):
        super().__init__(429, "too many inputs wait; try again", {"Retry-After": "1"})


class Service:
    """The models, each with its queue, and what is counted."""

    def __init__(self, models: Mapping[str, Model], limits: Limits):
        self.models, self.limits = models, limits
        self.searching = self.conversations = 0  # those that are not decoded with others
        self.batchers = {name: Batcher(model, max_waiting=limits.waiting) for name, model in models.items()}
        self.registry = CollectorRegistry()
        self.requests = Counter("s2s_requests", "Requests", ["model", "status"], registry=self.registry)
        self.inputs = Counter("s2s_inputs", "Inputs decoded", ["model"], registry=self.registry)
        self.seconds = Histogram("s2s_seconds", "Seconds from request to answer", ["model"], registry=self.registry)
        self.waiting = Gauge("s2s_waiting", "Inputs that wait", ["model"], registry=self.registry)
        for name, batcher in self.batchers.items():
            self.waiting.labels(name).set_function(partial(len, batcher.waiting))

    def find(self, name: str) -> Model:
        """Return a model."""
        if name not in self.models:
            raise HTTPException(404, f"there is no model {name!r:.100}; see /v1/models")
        return self.models[name]

    def check_texts(self, name: str, texts: Sequence[str]) -> None:
        """Raise an error if the model reads no text, or a request is larger than allowed."""
        model = self.find(name)
        if model.modality != "text":
            raise HTTPException(422, f"this model reads {model.modality}: POST a file to /v1/models/{name}/file")
        limits = self.limits
        if len(texts) > limits.inputs:
            raise HTTPException(413, f"at most {limits.inputs} inputs a request, got {len(texts):,}")
        if (longest := max(map(len, texts), default=0)) > limits.characters:
            raise HTTPException(413, f"a text must have at most {limits.characters:,} characters, got {longest:,}")
        if (total := sum(map(len, texts))) > limits.all_characters:
            rule = f"the inputs of a request must have at most {limits.all_characters:,} characters"
            raise HTTPException(413, f"{rule}, got {total:,}")

    def check_forced(
        self, constraints: Sequence[Sequence[str]] | None, prefix: Sequence[str | Sequence[str]] | None
    ) -> None:
        """Raise an error if outputs must contain or begin with more than allowed; time and memory grow with it."""
        limits = self.limits
        for words in constraints or ():
            if len(words) > limits.constraints or sum(map(len, words)) > limits.forced:
                rule = f"constraints of an input must be at most {limits.constraints} words"
                raise HTTPException(413, f"{rule} of {limits.forced:,} characters in all")
        for start in prefix or ():
            self.check_prefix(start)

    def check_prefix(self, prefix: str | Sequence[str]) -> None:
        """Raise an error if outputs must begin with more than allowed."""
        if sum(map(len, prefix)) > self.limits.forced:
            raise HTTPException(413, f"a prefix must have at most {self.limits.forced:,} characters")

    def check_signal(self, name: str) -> None:
        """Raise an error if the model reads text."""
        if self.find(name).modality == "text":
            raise HTTPException(422, f"this model reads text: POST it to /v1/models/{name}/translate")

    def _options(self, name: str, search: Search) -> dict[str, Any]:
        return search.options(self.models[name].defaults["beam"])

    async def decode(
        self,
        name: str,
        sources: Sequence[Input],
        search: Search,
        constraints: Sequence[Sequence[str]] | None = None,
        prefix: Sequence[str | Sequence[str]] | None = None,
    ) -> list[list[Output]]:
        """Return the outputs of each input."""
        with self._measured(name, len(sources)):
            try:
                futures = self.batchers[name].submit(sources, self._options(name, search), constraints, prefix)
            except QueueFull:
                raise Full from None
            except Closed:
                raise HTTPException(503, "the server is about to end") from None
            return list(await asyncio.gather(*map(asyncio.wrap_future, futures)))

    async def explore(self, name: str, source: Input, prefix: Sequence[str], search: Search) -> Exploration:
        """Return the outputs of one input with the search for them, which ends when nobody waits for them any more."""
        options, given_up = self._options(name, search), threading.Event()

        def check() -> None:
            if given_up.is_set():
                raise GivenUp

        with self._measured(name, 1), self._alone():
            try:
                return await asyncio.to_thread(self.models[name].explore, source, prefix, on_step=check, **options)
            finally:
                given_up.set()

    async def follow(self, name: str, source: Input, search: Search) -> AsyncGenerator[str | list[Output], None]:
        """Yield the best output of one input so far, as it changes, and all outputs at the end.

        The search ends when nobody waits for them any more.
        """
        loop, seen, given_up = asyncio.get_running_loop(), asyncio.Queue[str | None](), threading.Event()
        options = self._options(name, search)

        def note(text: str | None) -> None:
            if given_up.is_set():
                raise GivenUp
            loop.call_soon_threadsafe(seen.put_nowait, text)

        def decode() -> list[Output]:
            with suppress(GivenUp):
                try:
                    return self.models[name].follow(source, note, **options)
                finally:
                    note(None)
            return []

        with self._measured(name, 1), self._alone():
            outputs, last = asyncio.ensure_future(asyncio.to_thread(decode)), ""
            try:
                while (text := await seen.get()) is not None:
                    if text != last:
                        last = text
                        yield text
                yield await outputs
            finally:
                given_up.set()

    @contextmanager
    def converse(self) -> Iterator[None]:
        """Count a conversation; refuse it if there are too many."""
        if self.conversations >= self.limits.conversations:
            raise Full
        self.conversations += 1
        try:
            yield
        finally:
            self.conversations -= 1

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Count a search that is not shared with other inputs; refuse it if there are too many."""
        if self.searching >= self.limits.waiting:
            raise Full
        self.searching += 1
        try:
            yield
        finally:
            self.searching -= 1

    @contextmanager
    def _measured(self, name: str, inputs: int) -> Iterator[None]:
        """Count a request, what has become of it, and its seconds."""
        began, status = time.monotonic(), "error"
        try:
            yield
            status = "ok"
            self.inputs.labels(name).inc(inputs)
        except HTTPException as refusal:
            status = "full" if isinstance(refusal, Full) else "error"
            raise
        except UserError:
            status = "refused"
            raise
        except (asyncio.CancelledError, GeneratorExit):  # the client has left
            status = "left"
            raise
        finally:
            self.requests.labels(name, status).inc()
            self.seconds.labels(name).observe(time.monotonic() - began)
