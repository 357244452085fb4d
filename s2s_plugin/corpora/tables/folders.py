"""Folders of a dataset: as ``datasets`` saves one to disk, or with files named by their splits."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from s2s_plugin.errors import UserError
from s2s_plugin.utils.compression import plain_path

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    **dict.fromkeys(("valid", "validation", "val", "dev"), "valid"),
    "test": "test",
}
ENDINGS = (".parquet", ".arrow", ".jsonl", ".json", ".csv", ".tsv")  # in the order of preference


def splits(path: Path) -> dict[str, list[Path]]:
    """Return the files of each split, train first, of a folder; a file, or a folder without splits, is ``train``.

    Raises:
        UserError: it does not exist, or is not the folder of a dataset.
    """
    if not path.is_dir():
        if not path.exists():
            raise UserError(f"{path}: cannot be read (No such file or directory); check the name")
        return {"train": [path]}
    if (path / "dataset_dict.json").is_file():
        names = _read_json(path / "dataset_dict.json").get("splits", [])
        if not names or any(Path(str(name)).name != name for name in names):
            raise UserError(f"{path}/dataset_dict.json: expected the names of splits; save the dataset again")
        found = {_split_of(name) or name: _saved(path / name) for name in names}
    elif (path / "state.json").is_file():
        found = {"train": _saved(path)}
    else:
        found = _named(path) or _named(path / "data")
    if not found:
        raise UserError(
            f"{path}: expected a folder that datasets has saved, or files named by their split, such as train.parquet"
        )
    return dict(sorted(found.items(), key=lambda item: item[0] != "train"))


def _split_of(name: str) -> str | None:
    """Return the split that a name begins with: ``validation-00000-of-00001.parquet`` is of ``valid``."""
    return SPLIT_NAMES.get(re.split(r"[-_.]", name.lower(), maxsplit=1)[0])


def _saved(folder: Path) -> list[Path]:
    """Return the files of a dataset that was saved to disk."""
    state = _read_json(folder / "state.json")
    names = [str(entry.get("filename")) for entry in state.get("_data_files", [])]
    if not names or any(Path(name).name != name for name in names):
        raise UserError(f"{folder}/state.json: expected the names of data files; save the dataset again")
    return [folder / name for name in names]


def _named(folder: Path) -> dict[str, list[Path]]:
    """Return the tables of a folder by the split that their names begin with; tables without one are ``train``."""
    if not folder.is_dir():
        return {}
    files = sorted(file for file in folder.iterdir() if file.is_file())
    for ending in ENDINGS:
        tables = [file for file in files if plain_path(file).suffix.lower() == ending]
        found: dict[str, list[Path]] = {}
        for file in tables:
            if (split := _split_of(file.name)) is not None:
                found.setdefault(split, []).append(file)
        if found:
            return found
        if tables and ending in (".parquet", ".arrow"):  # parts of one table, as Spark writes it
            return {"train": tables}
    return {}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a JSON object, as datasets writes it; save the dataset again")
    return content
