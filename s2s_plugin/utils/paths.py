"""The folders shipped with the package: inside it when installed from a wheel, next to it in a checkout."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def shipped_folder(name: str) -> Path:
    """Return the folder ``name`` in the package, or next to the package if it is not there."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name


def relative_to_cwd(path: Path) -> Path:
    """Return the path relative to the current folder if it is below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


CONF = shipped_folder("conf")
RECIPES = shipped_folder("data")  # one folder per corpus, with prepare.py and README.md
