"""The options that mean the files on the command line of ``s2s check``."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from s2s_plugin.corpora.directions import SPLIT_PREFIXES
from s2s_plugin.corpora.writing import MANIFEST
from s2s_plugin.datasets.manifest import MODALITIES
from s2s_plugin.errors import UserError
from s2s_plugin.utils.compression import SUFFIXES, open_binary
from s2s_plugin.utils.io import read_json


def overrides_of(data: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """Return the options that mean the files on the command line.

    That is a table or a folder of a dataset; a manifest; two files of text; their common beginning, with
    ``data.source_lang`` and ``data.target_lang``; or a folder that ``s2s prepare`` has made.

    Raises:
        UserError: it is none of these.
    """
    named = dict(word.split("=", 1) for word in overrides if "=" in word)
    if not data:
        if not any(key == "data" or key.startswith("data.") for key in named):
            raise UserError("s2s check requires DATA: a table, two files of text, or data=NAME; see s2s check --help")
        return []
    if len(data) == 2:
        return [f"data.source={data[0]}", f"data.target={data[1]}"]
    if len(data) > 2:
        raise UserError(f"s2s check reads a table or two files of text, got {len(data)} files; check them one by one")
    path = Path(data[0])
    if path.is_dir() and (
        corpus := next((each for each in (path / "text", path) if (each / MANIFEST).is_file()), None)
    ):
        return _prepared(corpus)
    languages = [named.get("data.source_lang"), named.get("data.target_lang")]
    if not path.exists() and all(languages):
        sides = [_with_language(str(path), str(language)) for language in languages]
        return [f"data.source={sides[0]}", f"data.target={sides[1]}"]
    return [f"data.manifest={path}"] if _is_manifest(path) else [f"data.pairs={path}"]


def _prepared(corpus: Path) -> list[str]:
    """Return the options that mean the files of a corpus that ``s2s prepare`` or a recipe has written."""
    about = read_json(corpus / MANIFEST)
    languages = about.get("languages", [])
    if about.get("modality") not in MODALITIES and len(languages) != 2:
        raise UserError(f"{corpus}: not a corpus of pairs; name its files: s2s check SOURCE TARGET")
    if about.get("modality") in MODALITIES:
        return [f"data.{prefix}manifest={corpus / split}.tsv" for split, prefix in SPLIT_PREFIXES.items()]
    return [
        f"data.{prefix}{side}={corpus / split}.{language}"
        for split, prefix in SPLIT_PREFIXES.items()
        for side, language in zip(("source", "target"), languages, strict=True)
    ]


def _with_language(prefix: str, language: str) -> str:
    names = [f"{prefix}.{language}{suffix}" for suffix in ("", *SUFFIXES)]
    return next((name for name in names if Path(name).exists()), names[0])


def _is_manifest(path: Path) -> bool:
    """Return whether the first line of a file is the header of a manifest."""
    if not path.is_file() or path.suffix.lower() != ".tsv":
        return False
    with open_binary(path) as file:
        line = file.readline(10_000).decode("utf-8-sig", "replace").rstrip("\r\n")
    header = next(csv.reader([line], delimiter="\t"), [])
    return "tgt_text" in header and not set(MODALITIES).isdisjoint(header)
