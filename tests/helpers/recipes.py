"""What the tests of the recipes share: samples, and what every recipe must have written."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import soundfile
from command_line import SHARED
from PIL import Image

from s2s_plugin.corpora.fetching.download import Expected
from s2s_plugin.corpora.recipe import default_cache
from s2s_plugin.corpora.splits import SPLITS
from s2s_plugin.datasets.manifest import Item, read_manifest
from s2s_plugin.text.normalize import match_key

ANY_CONTENT = Expected((1, 1 << 30))  # of a test's own file, in place of the real one's size and checksum
SOUNDS, PICTURES = (".wav", ".ogg"), (".jpg", ".png")


def sample(name: str) -> Path:
    """The folder ``NAME`` of samples next to the checkout; without it the test is skipped."""
    if not (SHARED / name).is_dir():
        pytest.skip(f"requires the sample next to the checkout, in ../shared/data/{name}")
    return SHARED / name


def package(name: str) -> Path:
    """The unpacked Debian package in the user's cache; tests do not download it."""
    folder = default_cache() / "apt" / name
    if not folder.is_dir():
        pytest.skip(f"{name} is not in {folder.parent}: run the recipe once")
    return folder


def read_meta(name: str, out: Path) -> dict:
    """``manifest.json``, which must say what the data is, where it is from and on which terms."""
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["name"] == name
    assert manifest["source"].startswith("synthetic: " if name == "synthetic_lips" else "https://")
    assert manifest["license"]
    assert manifest["version"]
    return manifest


def read_splits(name: str, modality: str, out: Path) -> dict[str, list[Item]]:
    """The items of each split: as many as the manifest tells, each id once, every file there and readable."""
    files = read_meta(name, out)["files"]
    splits = {}
    for split in SPLITS:
        found, splits[split] = read_manifest(out / f"{split}.tsv")
        assert found == modality
        assert len(splits[split]) == files[f"{split}.tsv"]["items"]
    items = [item for split in splits.values() for item in split]
    assert len({item.id for item in items}) == len(items)
    for path in (item.path for item in items):
        assert path.is_absolute()
        assert path.exists()
        if path.suffix in SOUNDS:
            assert soundfile.info(path).frames > 0
        elif path.suffix in PICTURES:
            with Image.open(path) as image:
                image.verify()
        else:
            assert modality == "video" or path.suffix == ".mpg"  # decoded in the tests of those recipes
    return splits


def read(out: Path, name: str) -> list[str]:
    return (out / name).read_text(encoding="utf-8").split("\n")[:-1]


def assert_languages_do_not_leak(out: Path, languages: tuple[str, str]) -> None:
    for lang in languages:
        assert_no_leak({" ".join(line.casefold().split()) for line in read(out, f"{split}.{lang}")} for split in SPLITS)


def assert_manifest(out: Path, name: str) -> dict:
    files = read_meta(name, out)["files"]
    for file, entry in files.items():
        assert entry["lines"] == len(read(out, file))
    return files


def text_keys(splits: dict[str, list[Item]]) -> Iterator[set[str]]:
    """For each split, what its texts are compared by."""
    return ({match_key(text) for item in items for text in item.texts} for items in splits.values())


def assert_no_leak(splits: Iterable[set]) -> None:
    """Train, valid and test, none empty, share nothing."""
    train, valid, test = splits
    assert train
    assert valid
    assert test
    assert not train & valid
    assert not train & test
    assert not valid & test


def pack(folder: Path, archive: Path, name: str) -> None:
    """``folder`` as ``name`` in a tar.gz archive."""
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(folder, name)
