"""Manifests: tab-separated files that name recordings, videos or pictures and their texts.

The columns are those of fairseq's speech-to-text (``id  audio  n_frames  tgt_text  speaker``), with ``video`` or
``image`` for ``audio`` where that is the source. ``n_frames`` and ``speaker`` may be absent or empty; ``box``
(WIDTHxHEIGHT+X+Y in pixels) may give the mouth's place in a video. Rows of one id are several texts of one item.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from s2s_plugin.errors import UserError

MODALITIES = ("audio", "video", "image")
BREAKS = str.maketrans(dict.fromkeys("\t\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029", " "))


class Item(NamedTuple):
    """One recording, video or picture.

    Attributes:
        id: unique within a split.
        path: of the media file.
        texts: what it says or shows; training takes each, a test set compares with all of them.
        speaker: who speaks; empty where unknown.
        frames: of the features; 0 where not known yet.
        box: of the mouth, ``WIDTHxHEIGHT+X+Y`` in pixels; empty: the whole frame is the mouth.
    """

    id: str
    path: Path
    texts: tuple[str, ...]
    speaker: str = ""
    frames: int = 0
    box: str = ""


def read_manifest(path: Path) -> tuple[str, list[Item]]:
    """Modality and items, in the order in which they come first.

    A relative media path counts from the manifest's folder.

    Raises:
        UserError: the file cannot be read, lacks a column, or has a row that is not what the header says.
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
        raise UserError(
            f"{path}, line 1: the header is {header}; it needs the columns id, tgt_text and one of "
            f"{', '.join(MODALITIES)}, separated by tabs"
        )
    items: dict[str, Item] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        item = _row(f"{path}, line {number}", _columns(header, line, f"{path}, line {number}"), modalities[0], path)
        seen = items.get(item.id)
        if seen is not None and seen.path != item.path:
            raise UserError(f"{path}, line {number}: id '{item.id}' has two files, {seen.path} and {item.path}")
        items[item.id] = item if seen is None else seen._replace(texts=seen.texts + item.texts)
    if not items:
        raise UserError(f"{path}: no rows below the header")
    return modalities[0], list(items.values())


def _columns(header: list[str], line: str, where: str) -> dict[str, str]:
    """One row by column name."""
    cells = line.rstrip("\r").split("\t")
    if len(cells) != len(header):
        raise UserError(f"{where}: {len(cells)} columns, the header has {len(header)}; tabs separate columns")
    return dict(zip(header, cells, strict=True))


def _row(where: str, row: dict[str, str], modality: str, manifest: Path) -> Item:
    frames = row.get("n_frames", "") or "0"
    if not row["id"] or not row[modality]:
        raise UserError(f"{where}: no {'id' if not row['id'] else modality}; fill the column or delete the row")
    if not frames.isdigit():
        raise UserError(f"{where}: n_frames is '{frames}', not a number; leave it empty if unknown")
    texts = (" ".join(row["tgt_text"].split()),)
    if not texts[0]:
        raise UserError(f"{where}: tgt_text is empty; fill it or delete the row")
    return Item(
        row["id"], manifest.parent / row[modality], texts, row.get("speaker", ""), int(frames), row.get("box", "")
    )


def write_manifest(path: Path, modality: str, items: Iterable[Item]) -> None:
    """Write one split; a row for each text of each item."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("\t".join(("id", modality, "n_frames", "tgt_text", "speaker", "box")) + "\n")
        for item in items:
            for text in item.texts:
                cells = (item.id, str(item.path), str(item.frames or ""), text, item.speaker, item.box)
                file.write("\t".join(cell.translate(BREAKS) for cell in cells) + "\n")
