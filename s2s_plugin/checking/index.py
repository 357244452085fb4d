"""The rows of a corpus and what is found about them, in a database on disk: memory does not grow with the corpus."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

CACHE = 32  # megabytes of SQLite
SCHEMA = """
CREATE TABLE file (id INTEGER PRIMARY KEY, path TEXT UNIQUE);
CREATE TABLE row (
    id INTEGER PRIMARY KEY, split TEXT, part INT, file INT, number INT, usable INT,
    source TEXT, target TEXT, source_key TEXT, target_key TEXT, source_hash INT, target_hash INT,
    source_script TEXT, target_script TEXT, source_language TEXT, target_language TEXT
);
CREATE TABLE finding (kind TEXT, id INT, partner INT, detail TEXT, rank REAL DEFAULT 0, PRIMARY KEY (kind, id))
    WITHOUT ROWID;
"""


class Record(NamedTuple):
    """A row as it is stored; the keys are without case and punctuation (``match_key``), the texts normalized."""

    id: int  # from 1, in the order of reading
    split: str
    part: int  # see PARTS
    file: int
    number: int
    usable: bool  # whether both sides are text
    source: str = ""
    target: str = ""
    source_key: str = ""
    target_key: str = ""
    source_hash: int = 0
    target_hash: int = 0
    source_script: str | None = None
    target_script: str | None = None
    source_language: str | None = None
    target_language: str | None = None


class Found(NamedTuple):
    """A row about which something is found; of each kind a row has one."""

    kind: str
    id: int
    partner: int | None = None  # id of another row that it is about
    detail: str = ""
    rank: float = 0.0  # the lowest is shown first


def key_hash(key: str) -> int:
    """Return 64 bits of a key."""
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8"), digest_size=8).digest(), "big", signed=True)


class Index:
    """The database, a file in a folder, with which it is removed; files of the corpus there are shown without it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.db = sqlite3.connect(folder / "rows.db", isolation_level=None)
        settings = {"journal_mode": "OFF", "synchronous": "OFF", "temp_store": "FILE", "cache_size": -1000 * CACHE}
        for name, value in settings.items():
            self.db.execute(f"PRAGMA {name}={value}")
        self.db.executescript(SCHEMA)
        self.files: dict[Path, int] = {}

    def file_id(self, path: Path) -> int:
        """Return the number of a file."""
        if path not in self.files:
            self.files[path] = len(self.files) + 1
            self.db.execute("INSERT INTO file VALUES (?, ?)", (self.files[path], self.shown(path)))
        return self.files[path]

    def shown(self, path: Path) -> str:
        """Return the name of a file for messages."""
        return str(path.relative_to(self.folder) if path.is_relative_to(self.folder) else path)

    def add(self, records: Iterable[Record], found: Iterable[Found]) -> None:
        """Store rows, and what is found about them."""
        self.db.execute("BEGIN")
        self.db.executemany(f"INSERT INTO row VALUES ({', '.join('?' * len(Record._fields))})", records)
        self.note(found)
        self.db.execute("COMMIT")

    def note(self, found: Iterable[Found]) -> None:
        """Store what is found; the first of a kind counts for each row."""
        self.db.executemany("INSERT OR IGNORE INTO finding VALUES (?, ?, ?, ?, ?)", found)

    def rows(self, query: str, *values: Any) -> Iterator[tuple]:
        """Yield the result of a query."""
        yield from self.db.execute(query, values)

    def run(self, statement: str, *values: Any) -> None:
        """Run a statement."""
        self.db.execute(statement, values)

    def value(self, query: str, *values: Any) -> Any:
        """Return the first cell of a query's result; None if there is none."""
        row = self.db.execute(query, values).fetchone()
        return None if row is None else row[0]

    def close(self) -> None:
        """Close the database."""
        self.db.close()
