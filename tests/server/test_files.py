"""Recordings, videos and pictures over plain REST, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from media import RUNS

import s2s_plugin
from s2s_plugin.server.app import create_app

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=RUNS)
def folder(request: pytest.FixtureRequest, media_runs: dict[str, Path]) -> Path:
    return media_runs[request.param]


@pytest.fixture(scope="module")
def model(folder: Path) -> s2s_plugin.Model:
    (run,) = folder.glob("runs/*/default")
    return s2s_plugin.load(run)


@pytest.fixture(scope="module")
def client(model: s2s_plugin.Model) -> Iterator[TestClient]:
    with TestClient(create_app({"m": model}, hosts=["testserver"])) as client:
        yield client


def post(client: TestClient, path: str, file: Path, **options) -> dict:
    with file.open("rb") as content:
        answer = client.post(f"/v1/models/m/{path}", files={"file": (file.name, content)}, params=options)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_file_is_read_as_in_python(client: TestClient, model: s2s_plugin.Model, folder: Path):
    for file in sorted((folder / "media").iterdir())[:3]:
        ((first, second),) = post(client, "file", file, nbest=2, beam=3, attention=True)["outputs"]
        (expected,) = model.outputs([file], nbest=2, beam=3, attention=True)
        assert [first["text"], second["text"]] == [each.text for each in expected]
        assert first["score"] == pytest.approx(expected[0].score, abs=1e-5)
        assert len(first["attention"]) == len(first["tokens"]) and first["source_tokens"] == []


def test_a_file_is_explored(client: TestClient, model: s2s_plugin.Model, folder: Path):
    """The alternatives have the probability that the token itself has, with a CTC head in the search too."""
    file = sorted((folder / "media").iterdir())[0]
    result = post(client, "explore/file", file, beam=3)
    assert result["signal"]["kind"] == model.modality and result["signal"]["pixels"]
    (output,) = result["outputs"]
    each = zip(output["tokens"], output["probabilities"], output["alternatives"], strict=True)
    for token, probability, likeliest in each:
        known = {option["token"]: option["probability"] for option in likeliest}
        assert known.get(token, probability) == pytest.approx(probability, abs=1e-4)
    other = next(option["token"] for option in output["alternatives"][0] if option["token"] != output["tokens"][0])
    forced = post(client, "explore/file", file, beam=3, prefix=[other])
    assert forced["outputs"][0]["tokens"][0] == other


@pytest.mark.parametrize("content", [b"", b"nothing", b"RIFF" + bytes(40)])
def test_a_file_that_is_none(client: TestClient, content: bytes):
    answer = client.post("/v1/models/m/file", files={"file": ("../../a b.wav", content)})
    assert answer.status_code == 422 and answer.json()["detail"].startswith("the file: "), answer.text


def test_mistakes(client: TestClient, folder: Path):
    file = {"file": ("a", b"a")}
    for path, options, status, said in (
        ("file", {"beam": 21}, 422, "beam: Input should be less than or equal to 20"),
        ("file", {"bem": 1}, 422, "bem: Extra inputs are not permitted"),
        ("explore/file", {"prefix": ["nonsense"]}, 422, "the file: "),
    ):
        answer = client.post(f"/v1/models/m/{path}", files=file, params=options)
        assert answer.status_code == status and said in answer.json()["detail"]
    answer = client.post("/v1/models/m/translate", json={"inputs": ["a"]})
    assert answer.status_code == 422 and "POST a file to /v1/models/m/file" in answer.text
