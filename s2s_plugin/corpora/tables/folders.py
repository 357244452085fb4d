"""Folders of a dataset: as ``datasets`` saves one to disk, or with files named by their splits."""

from __future__ import annotations

import re
from pathlib import Path

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
    saved = {_split_of(state.parent.name) or state.parent.name: _shards(state) for state in path.glob("*/state.json")}
    whole = {"train": _shards(path / "state.json")} if (path / "state.json").is_file() else {}
    parts = whole or saved or _named(path) or _named(path / "data")
    if not all(parts.values()) or not parts:
        raise UserError(
            f"{path}: expected a folder that datasets has saved, or files named by their split, such as train.parquet"
        )
    return dict(sorted(parts.items(), key=lambda item: item[0] != "train"))


def _split_of(name: str) -> str | None:
    """Return the split that a name begins with: ``validation-00000-of-00001.parquet`` is of ``valid``."""
    return SPLIT_NAMES.get(re.split(r"[-_.]", name.lower(), maxsplit=1)[0])


def _shards(state: Path) -> list[Path]:
    """Return the files of a dataset that was saved with this ``state.json``."""
    return sorted(state.parent.glob("data*.arrow"))


def _named(folder: Path) -> dict[str, list[Path]]:
    """Return the tables of a folder by the split that their names begin with; tables without one are ``train``."""
    files = sorted(file for file in folder.glob("*") if file.is_file())
    for ending in ENDINGS:
        tables = [file for file in files if plain_path(file).suffix.lower() == ending]
        named: dict[str, list[Path]] = {}
        for file in tables:
            if (split := _split_of(file.name)) is not None:
                named.setdefault(split, []).append(file)
        if named:
            return named
        if tables and ending in (".parquet", ".arrow"):  # parts of one table, as Spark writes it
            return {"train": tables}
    return {}
