"""``s2s serve`` by a client of its own: a real process, a real socket."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from command_line import call, start
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

import s2s_plugin

LINES = ["a b c", "d e f g", "h g"]
KEY = "a secret"


@pytest.fixture(scope="module")
def exported(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "letters.s2s"
    call(f"s2s export runs/nmt/default --to {path}", cwd=small_model)
    return path


class Served:
    """A server that runs, and where."""

    def __init__(self, *words: str):
        ours, theirs = os.pipe()
        self.process = start(["s2s", "serve", "--port", "0", *words], stderr=theirs)
        os.close(theirs)
        self.stderr = os.fdopen(ours)
        lines: list[str] = []
        for line in self.stderr:
            lines.append(line)
            if (match := re.search(r"http://[\w.]+:(\d+)/", line)) is not None:
                self.port = int(match[1])
                break
        else:
            pytest.fail("".join(lines))
        self.url = f"http://127.0.0.1:{self.port}"

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(40)


@pytest.fixture(scope="module")
def served(exported: Path) -> Iterator[Served]:
    server = Served(str(exported), "--precision", "fp32", "--max-body", "1")
    yield server
    server.end(signal.SIGKILL)


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, timeout=30) as each:
        yield each


def test_texts(client: httpx.Client, exported: Path):
    expected = s2s_plugin.load(exported).outputs(LINES, nbest=2, attention=True)
    body = {"inputs": LINES, "nbest": 2, "attention": True, "beam": 5}
    answer = client.post("/v1/models/letters/translate", json=body)
    assert answer.status_code == 200, answer.text
    for got, wanted in zip(answer.json()["outputs"], expected, strict=True):
        assert [each["text"] for each in got] == [each.text for each in wanted]
        assert got[0]["tokens"] == wanted[0].tokens and len(got[0]["attention"]) == len(wanted[0].tokens)
        assert got[0]["score"] == pytest.approx(wanted[0].score, abs=1e-5)


def test_a_stream_of_partial_outputs(client: httpx.Client):
    with client.stream("POST", "/v1/models/letters/stream", json={"input": "a b c d e"}) as answer:
        events = [block.split("\n") for block in "".join(answer.iter_text()).strip().split("\n\n")]
    kinds = [event[0] for event in events]
    assert kinds[-1] == "event: output" and set(kinds[:-1]) == {"event: partial"} and len(kinds) > 3
    final = json.loads(events[-1][1].removeprefix("data: "))["outputs"][0]["text"]
    whole = client.post("/v1/models/letters/translate", json={"inputs": ["a b c d e"]}).json()
    assert final == whole["outputs"][0][0]["text"]


def test_what_is_there(client: httpx.Client):
    assert client.get("/health").json() == {"status": "ok"}
    (about,) = client.get("/v1/models").json()
    assert {key: about[key] for key in ("name", "app", "modality", "source", "target")} == {
        "name": "letters", "app": "nmt", "modality": "text", "source": "en", "target": "de",
    }  # fmt: skip
    client.post("/v1/models/letters/translate", json={"inputs": LINES})
    assert re.search(r'^s2s_inputs_total\{model="letters"\} [1-9]', client.get("/metrics").text, re.MULTILINE)
    assert "/v1/models/{name}/translate" in client.get("/openapi.json").json()["paths"]


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("letters/translate", {"inputs": []}, 422, "inputs"),
        ("letters/translate", {"inputs": ["a"], "bem": 3}, 422, "bem"),
        ("letters/translate", {"inputs": ["a"], "beam": 10**9}, 422, "beam: Input should be less than or equal to 20"),
        ("letters/translate", {"inputs": ["a"] * 100}, 413, "at most 64 inputs"),
        ("letters/translate", {"inputs": ["a" * 20_000]}, 413, "at most 10,000 characters"),
        ("letters/translate", {"inputs": [1]}, 422, "string"),
        ("letters/translate", {"inputs": ["a"], "constraints": [["\u2603"]]}, 422, "target vocabulary"),
        ("letters/translate", {"inputs": ["a"], "constraints": []}, 422, "expected constraints of 1 inputs"),
        ("other/translate", {"inputs": ["a"]}, 404, "no model"),
        ("letters/file", None, 422, "file"),
        ("letters/nothing", {}, 404, "Not Found"),
    ],
)
def test_mistakes(client: httpx.Client, path: str, body: dict | None, status: int, said: str):
    answer = client.post(f"/v1/models/{path}", json=body)
    assert answer.status_code == status and said in answer.text and "Traceback" not in answer.text


def test_malformed_huge_and_cut_requests(served: Served, client: httpx.Client):
    path = "/v1/models/letters/translate"
    assert client.post(path, content=b"{" * 1000, headers={"content-type": "application/json"}).status_code == 422
    assert client.post(path, content=b"x" * 2**21).status_code == 413
    assert client.post(path, content=(b"x" * 2**16 for _ in range(64))).status_code == 413
    for text in (
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x00",
        b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{",
    ):
        with socket.create_connection(("127.0.0.1", served.port)) as cut:
            cut.sendall(text)
    assert client.get("/health").status_code == 200


def test_other_pages_and_names_may_not_use_it(client: httpx.Client, served: Served):
    assert client.get("/v1/models", headers={"host": "evil.example"}).status_code == 400
    answer = client.get("/v1/models", headers={"origin": "http://evil.example"})
    assert "access-control-allow-origin" not in answer.headers
    with pytest.raises((InvalidStatus, ConnectionClosed)):
        connect(f"ws://127.0.0.1:{served.port}/v1/models/letters/chat", origin="http://evil.example").recv()


def test_a_key(exported: Path, tmp_path: Path):
    (tmp_path / "key.txt").write_text(f"{KEY}\n")
    server = Served(str(exported), "--key-file", str(tmp_path / "key.txt"))
    try:
        assert httpx.get(f"{server.url}/health").status_code == 200
        assert httpx.get(f"{server.url}/v1/models").status_code == 401
        assert httpx.get(f"{server.url}/v1/models", headers={"authorization": "Bearer wrong"}).status_code == 401
        assert httpx.get(f"{server.url}/v1/models", headers={"authorization": f"Bearer {KEY}"}).status_code == 200
        began = time.monotonic()
        server.end()
        assert time.monotonic() - began < 30
    finally:
        server.end(signal.SIGKILL)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("absent.s2s", "absent.s2s: no such packaged model"),
        ("{file} {file}", "there is a model letters already"),
        ("{file} --key-file absent", "absent: must be a file with a key in it"),
        ("{file} --host 203.0.113.1", "cannot listen there"),
        ("{file} --port {port}", "cannot listen there"),
        ("{file} --threads 0", "--threads must be at least 1, got 0"),
        ("{file} --max-body 0", "--max-body must be at least 1, got 0"),
        ("{file} --key-file {file}", "must be a file with a key in it"),
        ("key.txt", "key.txt: a model is a file that ends with .s2s"),
    ],
)
def test_it_does_not_start(exported: Path, served: Served, tmp_path: Path, words: str, said: str):
    (tmp_path / "key.txt").write_text(KEY)
    done = call(f"s2s serve {words.format(file=exported, port=served.port)}", cwd=tmp_path, check=False)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr


def test_a_client_that_leaves_is_forgotten(client: httpx.Client, served: Served):
    """Of a search with others, of one alone and of a stream; the server goes on."""
    body = {"inputs": ["a b c d e f g h " * 10] * 20, "beam": 10}
    for path, sent in (("translate", body), ("explore", {"input": body["inputs"][0] * 5, "beam": 20})):
        with pytest.raises(httpx.ReadTimeout):
            client.post(f"/v1/models/letters/{path}", json=sent, timeout=0.1)
    with client.stream("POST", "/v1/models/letters/stream", json={"input": "a b c d e f g h " * 100}) as answer:
        next(answer.iter_bytes())
    deadline = time.monotonic() + 20
    while '{model="letters",status="left"} 3.0' not in client.get("/metrics").text:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert client.post("/v1/models/letters/translate", json={"inputs": ["a"]}).status_code == 200


@pytest.mark.slow
def test_a_request_that_never_comes(served: Served):
    """Connections that send their head slowly end; idle ones too."""
    with (
        socket.create_connection(("127.0.0.1", served.port)) as slow,
        socket.create_connection(("127.0.0.1", served.port)) as idle,
    ):
        began = time.monotonic()
        slow.settimeout(30)
        idle.settimeout(30)
        for letter in b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".ljust(200, b"a"):
            try:
                slow.sendall(bytes([letter]))
            except OSError:
                break
            time.sleep(0.1)
        else:
            pytest.fail("it waits without end")
        assert idle.recv(1) == b"" and 9 < time.monotonic() - began < 20


@pytest.mark.slow
def test_a_full_queue_recovers(exported: Path):
    server = Served(str(exported), "--max-waiting", "8")
    try:
        with httpx.Client(base_url=server.url, timeout=60) as client, ThreadPoolExecutor(32) as pool:
            body = {"inputs": ["a b c d e f g h"] * 4}
            statuses = Counter(
                answer.status_code
                for answer in pool.map(lambda _: client.post("/v1/models/letters/translate", json=body), range(200))
            )
            assert set(statuses) == {200, 429}
            assert client.post("/v1/models/letters/translate", json=body).status_code == 200
    finally:
        server.end(signal.SIGKILL)


@pytest.mark.slow
def test_it_ends_and_starts_again_under_load(exported: Path):
    """SIGTERM: all that wait are answered. SIGKILL: the port can be used again at once."""
    server = Served(str(exported))
    body = {"inputs": ["a b c d e f g h " * 20], "beam": 10}
    with httpx.Client(base_url=server.url, timeout=60) as client, ThreadPoolExecutor(64) as pool:
        client.post("/v1/models/letters/translate", json=body)
        answers = [pool.submit(client.post, "/v1/models/letters/translate", json=body) for _ in range(64)]
        while 's2s_waiting{model="letters"} 0.0' in client.get("/metrics").text:
            time.sleep(0.01)
        time.sleep(0.5)  # all are there
        server.process.send_signal(signal.SIGTERM)
        assert {answer.result().status_code for answer in answers} == {200}
    assert server.process.wait(40) == 0
    for how in (signal.SIGKILL, signal.SIGTERM):
        again = Served(str(exported), "--port", str(server.port))
        assert again.port == server.port
        assert httpx.get(f"{again.url}/health").status_code == 200
        again.end(how)


@pytest.mark.slow
def test_it_does_what_its_description_says(served: Served):
    """Of random requests, by schemathesis; which valid ones can be used depends on the model."""
    command = shutil.which("schemathesis")
    if command is None:
        pytest.skip("requires schemathesis, in an environment of its own")
    words = ["--exclude-checks", "positive_data_acceptance", "--max-examples", "30", "--phases", "coverage,fuzzing"]
    url = f"{served.url}/openapi.json"
    done = subprocess.run([command, "run", url, *words], capture_output=True, text=True, env={"PATH": os.defpath})
    assert done.returncode == 0, done.stdout
