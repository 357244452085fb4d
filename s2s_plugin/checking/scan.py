"""Read a corpus once: store its rows, and what is wrong with each by itself."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from s2s_plugin.checking.corpus import PARTS, Row
from s2s_plugin.checking.index import Found, Index, Record, key_hash
from s2s_plugin.checking.language import language_of, load_identifier, script_of
from s2s_plugin.checking.near import NearIndex
from s2s_plugin.checking.text import copy_kind, find_in_text
from s2s_plugin.corpora.lines import EMPTY
from s2s_plugin.corpora.tables.columns import SIDES
from s2s_plugin.errors import UserError
from s2s_plugin.text.normalize import match_key, normalize
from s2s_plugin.utils.progress import Progress

BATCH = 2000  # rows that are stored at once
INSTALL = "pip install 's2s-plugin[check]'"


class Scan:
    """The rows of a corpus in an index, and their texts by similarity.

    Args:
        folder: for the index, which takes about 700 bytes a row.
        signal: whether the sources are paths of media, which are no text.
        exact: whether texts that differ in case or punctuation are different, as programs are.
    """

    def __init__(self, folder: Path, signal: bool, exact: bool = False):
        self.index, self.signal = Index(folder), signal
        self.key: Callable[[str], str] = str if exact else match_key
        self.near = [NearIndex(folder / side) for side in ("source", "target")]
        self.count = self.training = 0
        self.unchecked: list[str] = []  # what is not checked, and why
        self.ftfy = _optional("ftfy")
        if self.ftfy is None:
            self.unchecked.append(f"mojibake in parts of a text, which requires ftfy: {INSTALL}")
        self.identifier: Any = None
        try:
            self.identifier = load_identifier()
        except ImportError:
            self.unchecked.append(f"languages, which requires py3langid: {INSTALL}")

    def read(self, rows: Iterable[Row]) -> None:
        """Store all rows."""
        batch: list[Record] = []
        found: list[Found] = []
        for row in Progress(rows, "      rows", unit="row"):
            self.count += 1
            batch.append(self._record(row, found))
            if len(batch) == BATCH:
                self._store(batch, found)
        self._store(batch, found)

    def _store(self, batch: list[Record], found: list[Found]) -> None:
        self.index.add(batch, found)
        usable = [record for record in batch if record.usable]
        self.training += sum(record.part == 0 for record in batch)
        ids = [record.id for record in usable]
        if not self.signal:
            self.near[0].add(ids, [record.source_key for record in usable])
            self.near[1].add(ids, [record.target_key for record in usable])
        batch.clear()
        found.clear()

    def _record(self, row: Row, found: list[Found]) -> Record:
        place = self.count, row.split, PARTS[row.split], self.index.file_id(Path(row.file)), row.number
        for side in row.sides:
            if isinstance(side, UserError):
                kind = "empty" if getattr(side, "reason", None) == EMPTY else "unusable"
                found.append(Found(kind, self.count, None, str(side).removeprefix(f"{row.file}:{row.number}: ")))
                return Record(*place, usable=False)
        raw = [str(side) for side in row.sides]
        source = str(Path(row.file).parent / raw[0]) if self.signal and raw[0] else normalize(raw[0])
        texts = [source, normalize(raw[1])]
        if not all(texts):
            found.append(Found("empty", self.count, None, f"the {SIDES[texts.index('')]} is empty"))
            return Record(*place, False, texts[0], texts[1])
        if self.signal:
            keys = [texts[0], self.key(texts[1])]
        else:
            keys = [self.key(text) for text in texts]
            if (copied := copy_kind(*keys)) is not None:
                found.append(Found(copied, self.count))
        analyzed = [self._analyze(number, raw[number], texts[number], found) for number in (0, 1)]
        scripts, languages = zip(*analyzed, strict=True)
        return Record(*place, True, *texts, *keys, *map(key_hash, keys), *scripts, *languages)  # type: ignore[arg-type]

    def _analyze(self, side: int, raw: str, text: str, found: list[Found]) -> tuple[str | None, str | None]:
        """Note what is wrong with a side, and return its script and its language."""
        if self.signal and side == 0:
            return None, None
        found += [
            Found(kind, self.count, None, f"{SIDES[side]}: {detail}") for kind, detail in find_in_text(raw, self.ftfy)
        ]
        language = None if self.identifier is None else language_of(text, self.identifier)
        return script_of(text), language


def _optional(name: str) -> ModuleType | None:
    """Import a module of the extra ``check``; return None if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
