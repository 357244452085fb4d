"""A folder that nobody may write to, not even root."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def read_only(folder: Path, place: Path) -> Iterator[Path]:
    """Show a folder read-only in another place; skip the test where that cannot be done."""
    place.mkdir()
    if (
        shutil.which("mount") is None
        or subprocess.run(["mount", "-o", "bind,ro", str(folder), str(place)], capture_output=True).returncode
    ):
        pytest.skip("a read-only mount requires root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
