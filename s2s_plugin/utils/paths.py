"""The folders shipped with the package: inside it when installed from a wheel, next to it in a checkout."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

from s2s_plugin.errors import UserError

PACKAGE = Path(__file__).resolve().parents[1]


def shipped_folder(name: str) -> Path:
    """Return the folder ``name`` in the package, or next to the package if it is not there."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name


def default_cache() -> Path:
    """Return where downloads are kept: ``$S2S_CACHE``, else ``s2s_plugin`` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("S2S_CACHE") or Path(base) / "s2s_plugin")


def relative_to_cwd(path: Path) -> Path:
    """Return the path relative to the current folder if it is below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def check_regular(path: Path) -> None:
    """Raise if there is something that is neither a file nor a folder: opening a pipe may wait forever.

    Raises:
        UserError: it is a pipe, a socket or a device.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UserError(f"{path}: must be a regular file, got a pipe, socket or device; save it to a file first")


def existing_form(path: str) -> str:
    """Return a path as it is on disk if its names have another Unicode normalization there, as macOS gives them."""
    if path.isascii() or os.path.lexists(path):
        return path
    resolved = Path()
    for part in Path(path).parts:
        if not os.path.lexists(resolved / part):
            forms = [unicodedata.normalize(form, part) for form in ("NFC", "NFD")]
            part = next((form for form in forms if os.path.lexists(resolved / form)), part)
        resolved /= part
    return str(resolved) if os.path.lexists(resolved) else path


CONF = shipped_folder("conf")
RECIPES = shipped_folder("data")  # one folder per corpus, with prepare.py and README.md
