"""The explorer's page and its endpoints, in this process."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import ROOT
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

import s2s_plugin
from s2s_plugin.server.app import create_app
from s2s_plugin.server.limits import Limits

PATH = "/v1/models/letters"
PAGE = ROOT / "s2s_plugin/server/page"
KEY = "a sécret"


@pytest.fixture(scope="module")
def model(small_model: Path) -> s2s_plugin.Model:
    return s2s_plugin.load(small_model / "runs/nmt/default")


@pytest.fixture(scope="module")
def client(model: s2s_plugin.Model, small_model: Path) -> Iterator[TestClient]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(small_model)  # the run names the folder of its data
        app = create_app({"letters": model}, hosts=["testserver"])
        with TestClient(app) as client:
            yield client


def test_the_page_and_its_parts_need_nothing_else(client: TestClient):
    page = client.get("/")
    assert page.status_code == 200 and "script-src 'self'" in page.headers["content-security-policy"]
    for path in PAGE.iterdir():
        answer = client.get(f"/page/{path.name}")
        assert answer.content == path.read_bytes() and answer.headers["x-content-type-options"] == "nosniff"
        text = re.sub(r"^\s*//.*", "", path.read_text(), flags=re.MULTILINE)  # comments
        assert not re.findall(r"//(?!www\.w3\.org/2000/svg)[\w.]+\.\w", text), "another host"
        for name in re.findall(r'(?:from|src=|href=) ?"(?:\./|page/)([\w.]+)"', text):
            assert (PAGE / name).is_file(), f"{path.name} imports {name}"
    assert client.get("/page/../app.py").status_code == 404 and client.get("/page/%2e%2e%2fapp.py").status_code == 404
    assert client.get("/page/style.css").headers["content-type"].startswith("text/css")
    assert "javascript" in client.get("/page/app.js").headers["content-type"]


def test_a_text_is_explored(client: TestClient, model: s2s_plugin.Model):
    options = {"beam": 4, "nbest": 2}
    result = client.post(f"{PATH}/explore", json={"input": "d e f g", **options}).json()
    expected = model.explore("d e f g", **options)
    assert [each["text"] for each in result["outputs"]] == [each.text for each in expected.outputs]
    assert len(result["lattice"]) == len(expected.lattice) and result["signal"] is None
    first = result["outputs"][0]
    assert len(first["attention"]) == len(first["alternatives"]) == len(first["tokens"])
    assert len(str(first["attention"][0][0])) <= 7  # rounded

    other = first["alternatives"][1][1]["token"]
    forced = client.post(f"{PATH}/explore", json={"input": "d e f g", "prefix": [first["tokens"][0], other]}).json()
    assert forced["outputs"][0]["tokens"][:2] == [first["tokens"][0], other]


def test_several_outputs_do_not_narrow_the_beam(client: TestClient, model: s2s_plugin.Model):
    result = client.post(f"{PATH}/explore", json={"input": "d e f g", "nbest": 2}).json()
    widths = [len(step) for step in result["lattice"]]
    assert widths == [len(step) for step in model.explore("d e f g", nbest=2).lattice] and max(widths) > 4


def test_beginnings_of_several_texts(client: TestClient, model: s2s_plugin.Model):
    body = {"inputs": ["a b", "c d"], "prefix": ["H", []]}
    outputs = client.post(f"{PATH}/translate", json=body).json()["outputs"]
    expected = [model.outputs(["a b"], prefix=["H"])[0][0].text, model.translate("c d")]
    assert [each[0]["text"] for each in outputs] == expected
    wrong = client.post(f"{PATH}/translate", json={"inputs": ["a"], "prefix": []})
    assert wrong.status_code == 422 and "expected prefix of 1 inputs" in wrong.text


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("explore", {"input": "a", "prefix": ["nonsense"]}, 422, "target vocabulary"),
        ("explore", {"input": "a" * 20_000}, 413, "at most 10,000 characters"),
        ("explore", {"input": "a", "beam": 50}, 422, "beam: Input should be less than or equal to 20"),
        ("explore", {"input": "a", "bem": 5}, 422, "bem"),
        ("explore/file", None, 422, "file"),
        ("neighbors", {"inputs": ["a"]}, 422, "input"),
    ],
)
def test_mistakes(client: TestClient, path: str, body: dict | None, status: int, said: str):
    answer = client.post(f"{PATH}/{path}", json=body)
    assert answer.status_code == status and said in answer.text


def test_training_pairs(client: TestClient, model: s2s_plugin.Model, small_model: Path):
    (about,) = client.get("/v1/models").json()
    assert about["neighbors"] and not about["chat"] and about["beam"] == 5 and about["max_beam"] == 20
    source = (next((small_model / "data-bin").rglob("text/train.en"))).read_text().splitlines()[0]
    (first, *_) = client.post(f"{PATH}/neighbors", json={"input": source}).json()
    assert first["similarity"] == 1 and sorted(first["source"]) == sorted(source)


def test_a_run_without_its_data_has_no_pairs(model: s2s_plugin.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with TestClient(create_app({"letters": model}, hosts=["testserver"])) as client:
        assert not client.get("/v1/models").json()[0]["neighbors"]
        assert client.post(f"{PATH}/neighbors", json={"input": "a"}).status_code == 404


def test_no_more_at_a_time_than_may_wait(model: s2s_plugin.Model):
    with TestClient(create_app({"letters": model}, Limits(waiting=0), hosts=["testserver"])) as client:
        answer = client.post(f"{PATH}/explore", json={"input": "a"})
        assert answer.status_code == 429 and answer.headers["retry-after"] == "1"


def test_with_a_key_the_page_alone_is_open(model: s2s_plugin.Model):
    with TestClient(create_app({"letters": model}, key=KEY, hosts=["testserver"])) as client:
        assert client.get("/").status_code == client.get("/page/app.js").status_code == 200
        assert client.get("/v1/models").status_code == 401
        assert client.post(f"{PATH}/explore", json={"input": "a"}).status_code == 401
        assert client.get("/v1/models", headers={"authorization": f"Bearer {KEY}".encode()}).status_code == 200
        for key, problem in ((KEY, "chatbot"), ("wrong", "key")):
            offer = ["s2s", f"key.{key.encode().hex()}"]
            with (
                pytest.raises(WebSocketDisconnect) as error,
                client.websocket_connect(f"{PATH}/chat", subprotocols=offer) as socket,
            ):
                socket.receive_text()
            assert problem in error.value.reason


def test_a_page_that_may_use_it_may_send_a_key(model: s2s_plugin.Model):
    """A browser asks for leave first, without the key."""
    page = "https://my.example"
    with TestClient(create_app({"letters": model}, key=KEY, hosts=["testserver"], origins=[page])) as client:
        preflight = {"origin": page, "access-control-request-method": "POST"}
        leave = client.options(
            f"{PATH}/translate", headers={**preflight, "access-control-request-headers": "authorization"}
        )
        assert leave.status_code == 200 and leave.headers["access-control-allow-origin"] == page
        refused = client.post(f"{PATH}/translate", json={"inputs": ["a"]}, headers={"origin": page})
        assert refused.status_code == 401 and refused.headers["access-control-allow-origin"] == page
        other = client.options(f"{PATH}/translate", headers={**preflight, "origin": "https://evil.example"})
        assert other.status_code == 400 and "access-control-allow-origin" not in other.headers
