"""Fuzz what reads files: each input is loaded or refused in one line; see docs/SECURITY.md for the long trial.

``FUZZ_SECONDS`` is the time for each loader in the slow test, 60 by default.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from archives import deb_bytes, file, tar_bytes, zip_bytes
from media import make_items
from omegaconf import OmegaConf

pytest.importorskip("hypothesis")
from fuzzing import Fuzz, Loader

from s2s_plugin.corpora import tables
from s2s_plugin.corpora.fetching.archive import unpack
from s2s_plugin.corpora.fetching.download import _broken
from s2s_plugin.corpora.lines import checked_lines
from s2s_plugin.datasets.features import FeatureSource, PackedFeatures, pack
from s2s_plugin.datasets.frontends import build_frontend, load
from s2s_plugin.datasets.manifest import Item, read_manifest
from s2s_plugin.errors import UserError
from s2s_plugin.report.page import write_report
from s2s_plugin.stages.schema import changed_options, load_config, register
from s2s_plugin.tasks.checkpoint import load_model
from s2s_plugin.tasks.loading import load_dictionary, read_source_meta
from s2s_plugin.text.codec import PairCodec

SECONDS = float(os.environ.get("FUZZ_SECONDS", 60))
EXAMPLES = 25  # inputs of a loader in the short test

FRONTENDS = {  # by modality
    "audio": {"sample_rate": 8000, "max_seconds": 5},
    "image": {"size": 16, "max_megapixels": 4},
    "video": {"max_seconds": 2, "height": 8, "width": 8},
}


class Files:
    """The real files that loaders read, of the fixtures that have made them."""

    def __init__(self, request: pytest.FixtureRequest, folder: Path):
        self.request, self.folder = request, folder

    def fixture(self, name: str) -> Path:
        return self.request.getfixturevalue(name)

    @property
    def run(self) -> Path:
        return self.fixture("small_model") / "runs/nmt/default"

    @property
    def config(self) -> bytes:
        """The run's config without its checksum."""
        lines = (self.run / "config.yaml").read_bytes().splitlines(keepends=True)
        return b"".join(line for line in lines if b"crc32" not in line)


def checkpoint(files: Files) -> Loader:
    data = files.fixture("toy")
    state = torch.load(files.fixture("trained"), weights_only=True)
    state["last_optimizer_state"] = None  # half of the bytes
    small = io.BytesIO()
    torch.save(state, small)
    return Loader({"checkpoint.pt": small.getvalue()}, lambda folder, name: load_model(folder / "checkpoint.pt", data))


def config(files: Files) -> Loader:
    register()
    return Loader({"config.yaml": files.config}, lambda folder, name: load_config(folder / "config.yaml"), cost=3)


def codec(files: Files) -> Loader:
    """Codec, SentencePiece's model and the dictionaries, without the checksums that a stranger would have adapted."""
    names = ("codec.json", "spm.model", "dict.en.txt", "dict.de.txt")

    def read(folder: Path, name: str) -> None:
        pair = PairCodec.load(folder, "en", "de")
        if pair is not None:
            tokens = pair.encode("a b <unk> 뷁 \u2581")
            pair.fill(pair.decode(tokens), "a b")
        for lang in ("en", "de"):
            load_dictionary(folder, lang).encode_line("a b c", add_if_not_exist=False)

    return Loader({name: (files.run / "data" / name).read_bytes() for name in names}, read)


def features(files: Files) -> Loader:
    """Packed features, with what a run keeps of how they were made."""
    items = make_items(files.folder / "tones", "audio", 4)
    pack(items, build_frontend("audio", FRONTENDS["audio"]), files.folder / "test", skip_bad=False, workers=1)
    meta = {"modality": "audio", "frontend": FRONTENDS["audio"], "features": "."}
    contents = {name: (files.folder / name).read_bytes() for name in ("test.json", "test.bin")}

    def read(folder: Path, name: str) -> None:
        about = read_source_meta(folder)
        frontend = build_frontend(about["modality"], about["frontend"])
        source = FeatureSource(PackedFeatures(folder / "test"), np.arange(4), frontend)
        for number in range(4):
            source[number].sum()

    return Loader(contents | {"source.json": json.dumps(meta).encode()}, read)


def manifest(files: Files) -> Loader:
    rows = [("id", "audio", "n_frames", "tgt_text", "speaker", "box")]
    rows += [(f"a{number}", f"{number}.wav", "12", 'he said "so"', "x", "3x4+5+6") for number in range(4)]
    quoted = io.StringIO()
    csv.writer(quoted, delimiter="\t").writerows(rows)
    plain = "".join("\t".join(row) + "\n" for row in rows)

    def read(folder: Path, name: str) -> None:
        for own in (False, True):
            read_manifest(folder / name, own, [])
            read_manifest(folder / name, own)

    return Loader({"plain.tsv": plain.encode(), "quoted.tsv": quoted.getvalue().encode()}, read)


def archives(files: Files) -> Loader:
    entries = [{"name": "a", "type": b"5"}, file("a/b.txt", b"text" * 300), file("c" * 150)]
    packed = {
        "x.tar": tar_bytes(entries),
        "x.tar.gz": gzip.compress(tar_bytes(entries)),
        "x.tar.xz": lzma.compress(tar_bytes(entries)),
        "x.tar.bz2": bz2.compress(tar_bytes(entries)),
        "x.zip": zip_bytes({"a/b.txt": b"text" * 300, "c": b""}, deflate=True),
        "x.deb": deb_bytes(lzma.compress(tar_bytes(entries))),
    }

    def read(folder: Path, name: str) -> None:
        _broken(folder / name)  # as after a download
        unpack(folder / name, folder / "out" / name)

    return Loader(packed, read)


def table(files: Files) -> Loader:
    rows = [{"id": number, "en": f'a "b", {number}', "de": f"c\td {number}"} for number in range(8)]
    nested = [{"id": row["id"], "translation": {"en": row["en"], "de": row["de"]}} for row in rows]
    text = io.StringIO()
    csv.writer(text).writerows([("en", "de"), *((row["en"], row["de"]) for row in rows)])
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    contents = {
        "my.csv": text.getvalue().encode(),
        "my.tsv": b"".join(f"{row['en']} x\t{row['en']} y\n".encode() for row in rows),
        "my.json": json.dumps({"data": nested}).encode(),
        "list.json": json.dumps(nested).encode(),
        "my.jsonl": lines,
        **{f"my.jsonl{end}": pack(lines) for end, pack in ((".gz", gzip.compress), (".xz", lzma.compress))},
        **_columnar(nested),
    }
    options = [f"{prefix}pairs" for prefix in ("", "valid_", "test_", "extra_")] + ["source_column", "target_column"]
    languages = {"source_lang": "${own_language:source}", "target_lang": "${own_language:target}"}
    register()

    def read(folder: Path, name: str) -> None:
        data = OmegaConf.create(dict.fromkeys(options) | languages | {"pairs": str(folder / name)})
        found = tables.find(data, "")
        assert found is not None
        for _, cells in tables.read_pairs(data, found, False):
            assert all(isinstance(cell, str | UserError) for cell in cells)

    return Loader(contents, read)


def _columnar(rows: list[dict]) -> dict[str, bytes]:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    data, contents = pyarrow.Table.from_pylist(rows), {}
    for name, new in (("my.arrow", pyarrow.ipc.new_stream), ("my.feather", pyarrow.ipc.new_file)):
        out = io.BytesIO()
        with new(out, data.schema) as writer:
            writer.write_table(data)
        contents[name] = out.getvalue()
    out = io.BytesIO()
    parquet.write_table(data, out)
    return contents | {"my.parquet": out.getvalue()}


def text(files: Files) -> Loader:
    """Own text, one line a pair."""
    lines = "a b\n\u00e9 \ufeff \u2028 x\r\n<s> \x00 y\n".encode() * 5
    contents = {"x.en": lines, "x.en.gz": gzip.compress(lines), "x.en.xz": lzma.compress(lines)}
    return Loader(contents, lambda folder, name: list(checked_lines(folder / name)))


def media(files: Files) -> Loader:
    import soundfile
    from PIL import Image

    contents: dict[str, bytes] = {}
    for modality in FRONTENDS:
        (one,) = make_items(files.folder / modality, modality, 1)
        contents[f"{modality}/x{one.path.suffix}"] = one.path.read_bytes()
    samples, rate = soundfile.read(files.folder / "audio/0.wav")
    for ending in ("flac", "ogg", "au"):
        soundfile.write(files.folder / f"x.{ending}", samples, rate)
        contents[f"audio/x.{ending}"] = (files.folder / f"x.{ending}").read_bytes()
    np.save(files.folder / "x.npy", np.ones((9, 80), np.float32))
    contents["audio/x.npy"] = (files.folder / "x.npy").read_bytes()
    for ending in ("jpg", "gif", "tiff", "bmp", "webp"):
        Image.open(files.folder / "image/0.png").save(files.folder / f"x.{ending}")
        contents[f"image/x.{ending}"] = (files.folder / f"x.{ending}").read_bytes()
    frontends = {modality: build_frontend(modality, options) for modality, options in FRONTENDS.items()}

    def read(folder: Path, name: str) -> None:
        frontend = frontends[name.split("/")[0]]
        frontend.to_tensor(load(frontend, Item("x", folder / name, ()))).sum()

    return Loader(contents, read)


def run(files: Files) -> Loader:
    """What the report reads of a run folder, as a stranger would send it: with the right checksums."""
    names = ("outputs.jsonl", "attention.jsonl", "scores.json", "commands.txt", "log.txt", "config.yaml")
    contents = {name: (files.run / name).read_bytes() for name in names}
    contents["config.yaml"] = files.config
    few = b"".join(contents["outputs.jsonl"].splitlines(keepends=True)[:8])
    contents["outputs.jsonl"] = few
    register()
    return Loader(contents, lambda folder, name: write_report(folder, changed_options), cost=8)


LOADERS: tuple[Callable[[Files], Loader], ...] = (
    checkpoint, config, codec, features, manifest, archives, table, text, media, run,
)  # fmt: skip


@pytest.fixture
def loader(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Loader]:
    """A loader that has read its own files once: what it imports and caches is none of an input's doing."""
    (tmp_path / "made").mkdir()
    loader = request.param(Files(request, tmp_path / "made"))
    for name, content in loader.files.items():
        path = tmp_path / "whole" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for name in loader.files:
        loader.load(tmp_path / "whole", name)
    yield loader


@pytest.mark.parametrize("loader", LOADERS, ids=lambda each: each.__name__, indirect=True)
def test_a_few_inputs(loader: Loader, tmp_path: Path):
    fuzz = Fuzz()
    fuzz.run(loader, tmp_path / "input", number=1, examples=EXAMPLES)
    assert not fuzz.findings
    assert fuzz.inputs >= EXAMPLES // loader.cost


@pytest.mark.slow
@pytest.mark.parametrize("loader", LOADERS, ids=lambda each: each.__name__, indirect=True)
def test_many_inputs(loader: Loader, tmp_path: Path, request: pytest.FixtureRequest):
    fuzz, began, number = Fuzz(), time.monotonic(), 1
    while time.monotonic() - began < SECONDS:
        number += 1
        fuzz.run(loader, tmp_path / "input", number, examples=200)
    seconds = time.monotonic() - began
    print(f"\n{request.node.name}: {fuzz.inputs:,} inputs in {seconds:.0f} s, findings: {len(fuzz.findings)}")
    assert not fuzz.findings, "\n".join(f"{key}: {value}" for key, value in fuzz.findings.items())
