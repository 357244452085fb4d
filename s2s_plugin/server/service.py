"""The models that are served, behind their queues and counters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from fastapi import HTTPException
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from s2s_plugin.package.exploration import Exploration
from s2s_plugin.package.model import Input, Model, Output
from s2s_plugin.server.batching import Batcher, Closed, QueueFull
from s2s_plugin.server.limits import Limits
from s2s_plugin.server.schemas import Search


class Full(HTTPException):
    """Too many inputs wait."""

    def __init__(self):
        super().__init__(429, "too many inputs wait; try again", {"Retry-After": "1"})


class Service:
    """The models, each with its queue, and what is counted."""

    def __init__(self, models: Mapping[str, Model], limits: Limits):
        self.models, self.limits, self.exploring = models, limits, 0
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

    def check_texts(self, name: str, texts: Sequence[str], search: Search) -> Model:
        """Return the model; raise an error if it reads no text, or a request is larger than allowed."""
        model = self.find(name)
        if model.modality != "text":
            raise HTTPException(422, f"this model reads {model.modality}: POST a file to /v1/models/{name}/file")
        limits = self.limits
        if len(texts) > limits.inputs:
            raise HTTPException(413, f"at most {limits.inputs} inputs a request, got {len(texts):,}")
        if (longest := max(map(len, texts), default=0)) > limits.characters:
            raise HTTPException(413, f"a text must have at most {limits.characters:,} characters, got {longest:,}")
        self._check_search(search)
        return model

    def check_signal(self, name: str, search: Search) -> Model:
        """Return the model; raise an error if it reads text, or a request is larger than allowed."""
        model = self.find(name)
        if model.modality == "text":
            raise HTTPException(422, f"this model reads text: POST it to /v1/models/{name}/translate")
        self._check_search(search)
        return model

    def _check_search(self, search: Search) -> None:
        if max(search.beam or 1, search.nbest) > self.limits.beam:
            raise HTTPException(422, f"beam and nbest must be at most {self.limits.beam}")

    async def decode(
        self,
        name: str,
        sources: Sequence[Input],
        options: Mapping[str, Any],
        constraints: Sequence[Sequence[str]] | None = None,
        prefix: Sequence[str | Sequence[str]] | None = None,
    ) -> list[list[Output]]:
        """Return the outputs of each input."""
        with self._measured(name, len(sources)):
            try:
                futures = self.batchers[name].submit(sources, options, constraints, prefix)
            except QueueFull:
                raise Full from None
            except Closed:
                raise HTTPException(503, "the server is about to end") from None
            return list(await asyncio.gather(*map(asyncio.wrap_future, futures)))

    async def explore(self, name: str, source: Input, prefix: Sequence[str], options: Mapping[str, Any]) -> Exploration:
        """Return the outputs of one input with the search for them, which is not shared with other inputs."""
        with self._measured(name, 1):
            if self.exploring >= self.limits.waiting:
                raise Full
            self.exploring += 1
            try:
                return await asyncio.to_thread(self.models[name].explore, source, prefix, **options)
            finally:
                self.exploring -= 1

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
        finally:
            self.requests.labels(name, status).inc()
            self.seconds.labels(name).observe(time.monotonic() - began)
