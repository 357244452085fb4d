"""Tables of a user's pairs in every format and compression, and how ``data.pairs`` reads them."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from s2s_plugin.corpora import tables

# Each side with what some format or other treats specially.
PAIRS = [
    ("A dog, a cat; and \"more\".", "Ein Hund, eine Katze; und „mehr“."),
    ("First line\nsecond line", "Erste Zeile\r\nzweite Zeile"),
    ("\"Quoted\" at the start", "it's | piped"),
    ("#1 = 50 % of 2.5", "Nr. 1"),
    ("한국어 문장 👩‍👩‍👧", "עברית 𝒳"),
    ("{\"json\": [1]}", "<2de> \\t \\n"),
] + [(f"Sentence number {i}.", f"Satz Nummer {i}.") for i in range(30)]  # fmt: skip
EXPECTED = [tuple(" ".join(text.split()) for text in pair) for pair in PAIRS]


def delimited(delimiter: str, quoting: int = csv.QUOTE_MINIMAL, header: bool = True, end: str = "\n") -> bytes:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writerows([("id", "en", "de")] * header)
    writer.writerows((number, *pair) for number, pair in enumerate(PAIRS))
    return file.getvalue().encode()


def objects() -> list[dict]:
    return [{"id": str(number), "en": source, "de": target} for number, (source, target) in enumerate(PAIRS)]


def nested() -> list[dict]:
    return [
        {"id": number, "translation": {"en": source, "de": target}} for number, (source, target) in enumerate(PAIRS)
    ]


def arrow(kind: str, rows: list[dict]) -> bytes:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table, file = pyarrow.Table.from_pylist(rows), io.BytesIO()
    if kind == "parquet":
        parquet.write_table(table, file, row_group_size=7)
    else:
        new = pyarrow.ipc.new_stream if kind == "stream" else pyarrow.ipc.new_file
        with new(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=7)
    return file.getvalue()


def zstd(content: bytes) -> bytes:
    """Two frames, as pzstd and concatenated files have them."""
    compress = pytest.importorskip("zstandard").ZstdCompressor().compress
    return compress(content[:100]) + compress(content[100:])


COMPRESSIONS = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstd}


def settings(pairs: Path, **options: object) -> DictConfig:
    """The options of ``data``, with languages that are not set."""
    names = [f"{prefix}pairs" for prefix in ("", "valid_", "test_", "extra_")] + ["source_column", "target_column"]
    data = dict.fromkeys(names) | {"source_lang": "${own_language:source}", "target_lang": "${own_language:target}"}
    return OmegaConf.create(data | {"pairs": str(pairs)} | options)


def data_config(**options: object) -> DictConfig:
    """A config with the options of own files, also of those without tables."""
    files = {f"{prefix}{side}": None for prefix in ("", "valid_", "test_", "extra_") for side in ("source", "target")}
    data = settings(Path())
    data.update({**files, "pairs": None, **options})
    return OmegaConf.create({"data": data, "subword": {"lossless": False}})


def read(pairs: Path, prefix: str = "", lossless: bool = False, **options: object) -> list:
    data = settings(pairs, **options)
    table = tables.find(data, prefix)
    assert table is not None
    rows = [(where, *map(str, cells)) for where, cells in tables.read_pairs(data, table, lossless)]
    return [(source, target) for _, source, target in rows]


def save_to_disk(folder: Path, rows: list[dict], shards: int = 1) -> None:
    """Write a dataset as version 4 of ``datasets`` does."""
    folder.mkdir(parents=True)
    names = [f"data-{number:05}-of-{shards:05}.arrow" for number in range(shards)]
    size = -(-len(rows) // shards)
    for number, name in enumerate(names):
        (folder / name).write_bytes(arrow("stream", rows[number * size : (number + 1) * size]))
    state = {"_data_files": [{"filename": name} for name in names], "_fingerprint": "0", "_split": None}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"features": {}}))


def write_splits(folder: Path, kind: str) -> None:
    """30, 4 and 2 pairs for training, validation and test."""
    rows = nested()
    for name, part in (("train", rows[:30]), ("validation", rows[30:34]), ("test", rows[34:])):
        if kind == "saved":
            save_to_disk(folder / name, part)
            (folder / "dataset_dict.json").write_text('{"splits": ["train", "validation", "test"]}')
        else:
            place = folder / "data" if kind == "data" else folder
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{name}-00000-of-00001.parquet").write_bytes(arrow("parquet", part))
