"""Shared by the tests of the recipes."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
from web_server import Files, serving


@pytest.fixture
def home(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and its address on a web server of this machine, in place of the public ones."""
    folder = tmp_path / "home"
    folder.mkdir()
    with serving(functools.partial(Files, directory=folder)) as address:
        yield folder, address
