"""``s2s push`` and ``hf:OWNER/NAME``, by huggingface_hub itself and a hub on this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import ROOT, call, call_process
from fake_hub import Hub, serve_hub

from s2s_plugin.package.archive import PackageFile

pytest.importorskip("huggingface_hub", reason="the extra hub is not installed")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve_hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_TOKEN", server.token)
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        yield server


@pytest.fixture(scope="module")
def exported(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pushed") / "letters.s2s"
    call(f"s2s export runs/nmt/default --to {path}", cwd=small_model)
    return path


@pytest.mark.slow  # six commands
def test_what_is_pushed_is_what_is_fetched(hub: Hub, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    done = call(f"s2s push {exported} me/letters", cwd=tmp_path)
    assert done.stdout == f"{hub.url}/me/letters: s2s translate model=hf:me/letters\n"
    ((first, files),) = hub.repositories["me/letters"].items()
    with PackageFile(exported) as file:
        assert files == {"letters.s2s": exported.read_bytes(), "README.md": file.read("README.md")}
    expected = call(f"s2s translate model={exported} 'a b c'", cwd=tmp_path).stdout
    assert call("s2s translate model=hf:me/letters 'a b c'", cwd=tmp_path).stdout == expected
    assert sum(request.startswith("GET") and "resolve" in request for request in hub.requests) == 1
    hub.commit("me/letters", {"letters.s2s": b"of another version"})
    done = call("s2s verify hf:me/letters", cwd=tmp_path, check=False)
    assert done.returncode == 2 and "not a packaged model" in done.stderr
    assert "10 examples have the expected outputs" in call(f"s2s verify hf:me/letters@{first}", cwd=tmp_path).stdout
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # the cache is a folder of this machine
    assert call(f"s2s translate model=hf:me/letters@{first} 'a b c'", cwd=tmp_path).stdout == expected


def test_a_second_push_is_a_second_commit(hub: Hub, exported: Path, tmp_path: Path):
    for _ in range(2):
        call(f"s2s push {exported} me/letters --private", cwd=tmp_path)
    assert len(hub.repositories["me/letters"]) == 1  # of the same files
    assert sum("/commit/" in request for request in hub.requests) == 2


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("push absent.s2s me/letters", "absent.s2s: no such packaged model"),
        ("push {file} letters", "a repository of the hub is OWNER/NAME, got letters"),
        ("verify hf:me/absent", "hf:me/absent: cannot be fetched ("),
        ("verify hf:me/none", "hf:me/none: expected one file that ends with .s2s, got 0"),
        ("verify hf:me/two", "hf:me/two: expected one file that ends with .s2s, got 2"),
        ("verify hf:../../etc", "a model of the hub is hf:OWNER/NAME or hf:OWNER/NAME@REVISION, got hf:../../etc"),
    ],
)
def test_mistakes_are_one_line(hub: Hub, exported: Path, tmp_path: Path, command: str, said: str):
    for name, files in (("me/none", {"README.md": b"-"}), ("me/two", {"a.s2s": b"-", "b.s2s": b"-"})):
        hub.repositories[name] = {}
        hub.commit(name, files)
    done = call(f"s2s {command.format(file=exported)}", cwd=tmp_path, check=False)
    assert done.returncode == 2 and said in done.stderr
    assert done.stderr.splitlines()[-1].startswith("s2s: error:") and "Traceback" not in done.stderr


def test_without_the_right_to_write(hub: Hub, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    done = call(f"s2s push {exported} me/letters", cwd=tmp_path, check=False)
    assert done.returncode == 2 and "me/letters: cannot be pushed (" in done.stderr
    assert "hf auth login stores a token" in done.stderr and not hub.repositories


@pytest.mark.slow  # a process that starts as a user's does
def test_in_python_and_by_torch_hub(hub: Hub, exported: Path, tmp_path: Path):
    hub.repositories["me/letters"] = {}
    hub.commit("me/letters", {"letters.s2s": exported.read_bytes()})
    program = (
        "import s2s_plugin, torch; one = s2s_plugin.load('hf:me/letters');"
        f"two = torch.hub.load({str(ROOT)!r}, 'load', {str(exported)!r}, source='local');"
        "assert one.translate('a b c') == two.translate('a b c'); print(type(two).__name__)"
    )
    done = call_process([sys.executable, "-c", program], cwd=tmp_path)
    assert done.stdout.split()[-1] == "Model"
