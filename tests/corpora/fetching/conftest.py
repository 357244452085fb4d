"""Shared by the tests of downloads and archives."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from web_server import CONTENT, Handler, serving


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A folder with a secret in it, and next to it the place that attacks aim at."""
    (tmp_path / "box/in").mkdir(parents=True)
    (tmp_path / "target").mkdir()
    (tmp_path / "box/secret.txt").write_text("secret")
    return tmp_path / "box"


@pytest.fixture
def no_waiting(monkeypatch):
    """Try again at once, on a server as it was at first."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    for key, value in {"cuts": [], "ranges": [], "etag": '"one"', "headers_of_all": {}, "body": CONTENT}.items():
        monkeypatch.setattr(Handler, key, value)


@pytest.fixture
def server():
    with serving(Handler) as address:
        yield address
