"""Requests made to break the server: each is refused in one sentence, and others are answered as before."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import s2s_plugin
from s2s_plugin.server import limits
from s2s_plugin.server.app import create_app
from s2s_plugin.server.limits import Limits
from s2s_plugin.server.schemas import Search
from s2s_plugin.server.serve import listen
from s2s_plugin.server.service import Service

PATH = "/v1/models/letters"
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def model(small_model: Path) -> s2s_plugin.Model:
    return s2s_plugin.load(small_model / "runs/nmt/default")


@pytest.fixture(scope="module")
def client(model: s2s_plugin.Model) -> Iterator[TestClient]:
    app = create_app({"letters": model}, Limits(json=2**16), hosts=["testserver"])
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b'{"inputs": ' + b"[" * 20_000 + b"]" * 20_000 + b"}", 400, "parsing the body"),
        (b'{"inputs": ["a"], "beam": ' + b"9" * 5000 + b"}", 400, "parsing the body"),
        (b'{"inputs": ["\xe4"]}', 400, "parsing the body"),
        (b"{" * 100, 422, "must be a JSON object"),
        (b'["a"]', 422, "must be a JSON object"),
        (b'{"inputs": [NaN]}', 422, "inputs.0: Input should be a valid string"),
        (b'{"inputs": ["a"], "lenpen": NaN}', 422, "lenpen: Input should be"),
        (b'{"inputs": ["a\\ud800"]}', 422, "inputs.0: Value error, a text must not have half of a surrogate pair"),
        (b'{"inputs": ["a"], "\\ud800": 1}', 422, "must be a JSON object"),
        (b'{"inputs": ["a"], "constraints": [["\\udfff"]]}', 422, "constraints.0.0: Value error"),
        (b'{"inputs": ["a"], "sampling": true, "sampling_topp": 1e-320}', 422, "sampling_topp: Input should be"),
        (b'{"inputs": ["a"], "seed": false}', 422, "seed: Input should be a valid integer"),
        (b'{"inputs": ["a"], "beam": "5"}', 422, "beam: Input should be a valid integer"),
        (b'{"inputs": ["a"], "constraints": [[' + b'"a",' * 40 + b'"a"]]}', 413, "at most 16 words"),
        (b'{"inputs": ["a"], "prefix": ["' + b"a" * 3000 + b'"]}', 413, "at most 2,000 characters"),
        (json.dumps({"inputs": ["a" * 9000] * 5}).encode(), 413, "at most 40,000 characters, got 45,000"),
        (b'{"inputs": ["' + b"a" * 2**16 + b'"]}', 413, "at most 65,536 bytes"),
    ],
)
def test_malformed_and_huge_texts(client: TestClient, body: bytes, status: int, said: str):
    answer = client.post(f"{PATH}/translate", content=body, headers=JSON)
    assert answer.status_code == status and said in answer.json()["detail"]
    assert client.post(f"{PATH}/translate", json={"inputs": ["a b"]}).status_code == 200


def test_a_stream_that_cannot_begin_is_no_stream(client: TestClient, model: s2s_plugin.Model):
    for body in ({"input": "a", "beam": 21}, {"input": "\ud800"}):
        assert client.post(f"{PATH}/stream", content=json.dumps(body), headers=JSON).status_code == 422
    with TestClient(create_app({"letters": model}, Limits(waiting=0), hosts=["testserver"])) as full:
        answer = full.post(f"{PATH}/stream", json={"input": "a"})
        assert answer.status_code == 429 and answer.headers["retry-after"] == "1"


def test_an_error_of_ours_is_one_sentence_too(client: TestClient, model: s2s_plugin.Model, monkeypatch):
    with monkeypatch.context() as patch:
        patch.delattr(type(model), "outputs")
        answer = client.post(f"{PATH}/translate", json={"inputs": ["a"]})
    assert answer.status_code == 500 and "which its log describes" in answer.json()["detail"]


def test_a_search_ends_when_its_client_leaves(model: s2s_plugin.Model):
    """The last partial output is seen, and the thread has ended long before the search could."""

    async def leave() -> None:
        service = Service({"letters": model}, Limits())
        events = service.follow("letters", "a b c d e f g h", Search(beam=2))
        first = await anext(events)
        await events.aclose()
        await asyncio.to_thread(service.batchers["letters"].close)
        assert isinstance(first, str) and service.searching == 0

    seen: list[str] = []
    follow = model.follow

    def slow(source, note, **options):
        def watched(text: str) -> None:
            seen.append(text)
            note(text)
            left.wait(0.2)

        return follow(source, watched, **options)

    left = threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "follow", slow)
        asyncio.run(leave())  # waits for the thread
    whole = model.outputs(["a b c d e f g h"], beam=2)[0][0]
    assert len(seen) < len(whole.tokens)


def test_an_exploration_ends_when_its_client_leaves(model: s2s_plugin.Model):
    """Of a search that has begun, no step is taken after that."""
    steps, begun, left, explore = [], threading.Event(), threading.Event(), model.explore

    def slow(*words, on_step, **options):
        def step() -> None:
            steps.append(None)
            begun.set()
            left.wait(10)
            on_step()

        return explore(*words, on_step=step, **options)

    async def leave() -> None:
        service = Service({"letters": model}, Limits())
        search = asyncio.create_task(service.explore("letters", "a b c d e f g h", [], Search()))
        await asyncio.to_thread(begun.wait, 10)
        search.cancel()
        with suppress(asyncio.CancelledError):
            await search
        left.set()
        assert service.searching == 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "explore", slow)
        asyncio.run(leave())  # waits for the thread
    assert len(steps) == 1


def test_all_bodies_together_are_bounded(model: s2s_plugin.Model, monkeypatch: pytest.MonkeyPatch):
    body = {"inputs": ["a b c d e f g h"]}
    monkeypatch.setattr(limits, "MAX_BODIES", 1)
    with TestClient(create_app({"letters": model}, Limits(body=50), hosts=["testserver"])) as client:
        assert [client.post(f"{PATH}/translate", json=body).status_code for _ in range(3)] == [200] * 3
        monkeypatch.setattr(limits, "MAX_BODIES", 0.5)
        answer = client.post(f"{PATH}/translate", json=body)
        assert answer.status_code == 429 and answer.headers["retry-after"] == "1"
        assert client.get("/health").status_code == 200


def test_answers_are_sent_without_delay():
    """asyncio sets TCP_NODELAY only for sockets whose protocol is TCP by number."""
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_the_description_has_the_limits():
    """A client that keeps to it sends no number that is refused."""
    properties = Search.model_json_schema()["properties"]
    numbers = [
        kind
        for each in properties.values()
        for kind in each.get("anyOf", [each])
        if kind["type"] in ("integer", "number")
    ]
    assert len(numbers) == 7
    for kind in numbers:
        assert "minimum" in kind and ("maximum" in kind or "exclusiveMaximum" in kind)
