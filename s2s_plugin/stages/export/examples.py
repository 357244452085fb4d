"""The examples in a packaged model: inputs with the outputs that the file has given itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from s2s_plugin.errors import UserError
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.package.model import load

COUNT = 10
MAX_MEDIA_BYTES = 2**22  # of one recording, video or picture
FOLDER = "examples/"


def pick_examples(run_dir: RunDir) -> list[dict[str, Any]]:
    """Return up to ten rows of the test set, spread evenly; those of signals whose files are there and small."""
    return _spread([row for row in run_dir.read_outputs() if row.get("source") or _has_media(row)])


def read_examples(path: Path) -> list[dict[str, Any]]:
    """Return up to ten rows of a file of texts, or of names of media files, spread evenly.

    Raises:
        UserError: it is not such a file.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise UserError(f"{path}: --examples requires a file of text in UTF-8") from None
    return _spread([{"source": line, "media": line} for line in lines if line.strip()])


def _spread(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return rows[:: max(1, len(rows) // COUNT)][:COUNT]


def _has_media(row: dict[str, Any]) -> bool:
    path = Path(row.get("media") or "")
    return path.is_file() and path.stat().st_size <= MAX_MEDIA_BYTES


def make_examples(path: Path, rows: list[dict[str, Any]]) -> tuple[list[dict[str, str]], dict[str, bytes]]:
    """Decode the rows with a packaged model; return its examples, and the media by the name of their member."""
    model = load(path)
    inputs = [row["source"] if model.modality == "text" else row["media"] for row in rows]
    examples, media = [], {}
    for number, (given, output) in enumerate(zip(inputs, model.translate(inputs), strict=True)):
        if model.modality != "text":
            name = f"{FOLDER}{number}{Path(given).suffix.lower()}"
            media[name] = Path(given).read_bytes()
            given = name
        examples.append({"input": given, "output": output})
    return examples, media
