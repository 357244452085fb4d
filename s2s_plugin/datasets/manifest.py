"""Manifests: tab-separated files that list recordings, videos or images and their texts.

The columns are those of fairseq's speech-to-text, ``video`` or ``image`` instead of ``audio``, and ``box``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from s2s_plugin.errors import UserError

MODALITIES = ("audio", "video", "image")
BREAKS = str.maketrans(dict.fromkeys("\t\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029", " "))


class Item(NamedTuple):
    """One recording, video or image."""

    id: str  # unique within a split
    path: Path  # of the media file
    texts: tuple[str, ...]  # each is a training pair; in a test set all are references
    speaker: str = ""  # empty if unknown
    frames: int = 0  # number of feature frames; 0 if unknown
    box: str = ""  # of the mouth, ``WIDTHxHEIGHT+X+Y`` in pixels; empty: the whole frame


def read_manifest(path: Path) -> tuple[str, list[Item]]:
    """Read the modality and the items, in the order of their first rows; rows of one id are several texts of one item.

    The columns ``n_frames``, ``speaker`` and ``box`` are optional; media paths are relative to the manifest's folder.

    Raises:
        UserError: the file cannot be read, lacks a column, or has a malformed row.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start + 1:,} is not UTF-8; convert it") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the name") from None
    header = lines[0].rstrip("\r").split("\t")
    modalities = [name for name in MODALITIES if name in header]
    if len(modalities) != 1 or not {"id", "tgt_text"} <= set(header):
        columns = f"id, tgt_text and one of {', '.join(MODALITIES)}, separated by tabs"
        raise UserError(f"{path}:1: expected the columns {columns}, got {', '.join(header)}")
    items: dict[str, Item] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        item = _parse_row(f"{path}:{number}", header, line, modalities[0], path.parent)
        first = items.setdefault(item.id, item)
        if first.path != item.path:
            raise UserError(f"{path}:{number}: id '{item.id}' must have one file, got {first.path} and {item.path}")
        if first is not item:
            items[item.id] = first._replace(texts=first.texts + item.texts)
    if not items:
        raise UserError(f"{path}: expected rows below the header, got none")
    return modalities[0], list(items.values())


def _parse_row(where: str, header: list[str], line: str, modality: str, folder: Path) -> Item:
    cells = line.rstrip("\r").split("\t")
    if len(cells) != len(header):
        raise UserError(f"{where}: expected {len(header)} columns separated by tabs, got {len(cells)}")
    row = dict(zip(header, cells, strict=True))
    row["tgt_text"] = " ".join(row["tgt_text"].split())
    if empty := [name for name in ("id", modality, "tgt_text") if not row[name]]:
        raise UserError(f"{where}: {empty[0]} must not be empty; fill it or delete the row")
    frames = row.get("n_frames", "") or "0"
    if not frames.isdigit():
        raise UserError(f"{where}: n_frames must be a number or empty, got '{frames}'")
    speaker, box = row.get("speaker", ""), row.get("box", "")
    return Item(row["id"], folder / row[modality], (row["tgt_text"],), speaker, int(frames), box)


def write_manifest(path: Path, modality: str, items: Iterable[Item]) -> None:
    """Write the items of a split, one row for each text."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("\t".join(("id", modality, "n_frames", "tgt_text", "speaker", "box")) + "\n")
        for item in items:
            for text in item.texts:
                cells = (item.id, str(item.path), str(item.frames or ""), text, item.speaker, item.box)
                file.write("\t".join(cell.translate(BREAKS) for cell in cells) + "\n")
