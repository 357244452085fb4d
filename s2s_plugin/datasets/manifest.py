"""Manifests: tab-separated files that list recordings, videos or images and their texts.

The columns are those of fairseq's speech-to-text, ``video`` or ``image`` instead of ``audio``, and ``box``.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from s2s_plugin.errors import UserError
from s2s_plugin.utils.digests import check_digest
from s2s_plugin.utils.paths import check_regular, existing_form

MODALITIES = ("audio", "video", "image")
QUOTED = re.compile(r'(?:^|(?<=\t))"((?:[^"]|"")*)"(?=\t|\r?$)', re.MULTILINE)
WHOLE = re.compile(r"(\d+)(?:\.0*)?")  # pandas writes a column of numbers with gaps as floats
SLICE = re.compile(r"(.+):(\d+):(\d+)", re.DOTALL)
BREAKS = str.maketrans(dict.fromkeys("\t\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029", " "))


class Item(NamedTuple):
    """One recording, video or image."""

    id: str  # unique within a split
    path: Path  # of the media file
    texts: tuple[str, ...]  # each is a training pair; in a test set all are references
    speaker: str = ""  # empty if unknown
    frames: int = 0  # number of feature frames; 0 if unknown
    box: str = ""  # of the mouth, ``WIDTHxHEIGHT+X+Y`` in pixels; empty: the whole frame
    where: str = ""  # ``file:line`` of its first row in the user's manifest; empty: in no file of the user's


def read_manifest(path: Path, own: bool = False, skipped: list[str] | None = None) -> tuple[str, list[Item]]:
    """Read the modality and the items, in the order of their first rows; rows of one id are several texts of one item.

    The columns ``n_frames``, ``speaker`` and ``box`` are optional; media paths are relative to the manifest's folder.

    Args:
        path: the file.
        own: a user has written it: it may be quoted, and Unicode names may be composed unlike those of the files.
        skipped: receives what is wrong with malformed rows, which are then left out.

    Raises:
        UserError: the file cannot be read, lacks a column, or has a malformed row.
    """
    lines = _rows(_read_text(path), own)
    _, header = next(lines)
    modalities = [name for name in MODALITIES if name in header]
    if len(modalities) != 1 or not {"id", "tgt_text"} <= set(header):
        columns = f"id, tgt_text and one of {', '.join(MODALITIES)}, separated by tabs"
        raise UserError(f"{path}:1: expected the columns {columns}, got {', '.join(header)}")
    items: dict[str, Item] = {}
    for number, cells in lines:
        try:
            item = _parse_row(header, cells, modalities[0], path.parent)
            first = items.get(item.id, item)
            if first.path != item.path:
                raise UserError(f"id '{item.id}' must have one file, got {first.path} and {item.path}")
        except UserError as error:
            if skipped is None:
                remedy = "; or skip such rows with data.on_bad_item=skip" if own else ""
                raise UserError(f"{path}:{number}: {error}{remedy}") from None
            skipped.append(f"{path}:{number}: {error}")
            continue
        if first is item:
            items[item.id] = item._replace(where=f"{path}:{number}") if own else item
        else:
            items[item.id] = first._replace(texts=first.texts + item.texts)
    if not items:
        raise UserError(f"{path}: expected {'usable ' if skipped else ''}rows below the header, got none")
    if own:
        items = {name: item._replace(path=existing_path(item.path)) for name, item in items.items()}
    return modalities[0], list(items.values())


def prepared_items(path: Path) -> list[Item]:
    """Check a manifest that this project wrote, and return its items."""
    check_digest(path)
    return read_manifest(path)[1]


def _read_text(path: Path) -> str:
    try:
        check_regular(path)
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start + 1:,} is not UTF-8; convert it") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the name") from None


def _rows(text: str, own: bool) -> Iterator[tuple[int, list[str]]]:
    """Yield number and cells of the header and of each row.

    Quotes and backslashes mean themselves, as in fairseq's datasets, unless ``own`` and all of them are where a
    program would have put them: pandas, a spreadsheet, or fairseq's ``save_df_to_tsv``, which escapes.
    """
    escapes = re.findall(r'(\\*)"', text) if own else []
    if escapes and all(len(backslashes) % 2 for backslashes in escapes):
        reader = csv.reader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\")
    elif escapes and _is_quoted(text):
        reader = csv.reader(io.StringIO(text), delimiter="\t")
    else:
        yield from ((n, line.split("\t")) for n, line in enumerate(text.split("\n"), 1) if n == 1 or line.strip())
        return
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield reader.line_num, cells


def _is_quoted(text: str) -> bool:
    """Return whether the header is quoted, or all cells that need it: pandas' with quotes, Excel's also with commas."""
    cells, rest = QUOTED.findall(text), QUOTED.sub("", text)
    special = re.compile('[",\t\n]' if "," not in rest else '["\t\n]')
    return text.startswith('"') or ('"' not in rest and all(map(special.search, cells)))


def _parse_row(header: list[str], cells: list[str], modality: str, folder: Path) -> Item:
    if len(cells) != len(header):
        raise UserError(f"expected {len(header)} columns separated by tabs, got {len(cells)}")
    row = dict(zip(header, cells, strict=True))
    row["tgt_text"] = " ".join(row["tgt_text"].split())
    if empty := [name for name in ("id", modality, "tgt_text") if not row[name]]:
        raise UserError(f"{empty[0]} must not be empty; fill it or delete the row")
    frames = WHOLE.fullmatch(row.get("n_frames", "") or "0")
    if frames is None:
        raise UserError(f"n_frames must be a number or empty, got '{row['n_frames']}'")
    more = (row.get("speaker", ""), int(frames[1]), row.get("box", ""), row.get("where", ""))
    return Item(row["id"], folder / row[modality], (row["tgt_text"],), *more)


def split_slice(path: Path) -> tuple[Path, tuple[int, int] | None]:
    """Split fairseq's ``file.wav:first sample:samples`` or ``file.zip:first byte:bytes``.

    A file that has such a name is taken whole.
    """
    match = SLICE.fullmatch(str(path))
    if match is None or os.path.exists(path):  # noqa: PTH110 (takes any length)
        return path, None
    return Path(match[1]), (int(match[2]), int(match[3]))


def existing_path(path: Path) -> Path:
    """Return the path with its parts composed or decomposed (NFC, NFD) as those of a file that exists, if one does."""
    text = str(path)
    form = existing_form(text)
    if form == text and (match := SLICE.fullmatch(text)):
        form = f"{existing_form(match[1])}:{match[2]}:{match[3]}"
    return Path(form)


def write_manifest(path: Path, modality: str, items: Iterable[Item]) -> None:
    """Write the items of a split, one row for each text."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("\t".join(("id", modality, "n_frames", "tgt_text", "speaker", "box", "where")) + "\n")
        for item in items:
            for text in item.texts:
                cells = (item.id, str(item.path), str(item.frames or ""), text, item.speaker, item.box, item.where)
                file.write("\t".join(cell.translate(BREAKS) for cell in cells) + "\n")
