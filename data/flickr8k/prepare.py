"""Flickr8k: photographs with five English captions each, with the official split.

Of the 8,091 images, the 8,000 on the official lists are used: 6,000, 1,000 and 1,000.
"""

from __future__ import annotations

import string
import sys
from collections.abc import Sequence
from pathlib import Path

from s2s_plugin.corpora.cleaning import clean_text
from s2s_plugin.corpora.fetching.archive import unpack
from s2s_plugin.corpora.fetching.download import Expected, url_file
from s2s_plugin.corpora.recipe import Corpus, Request, read_text, recipe
from s2s_plugin.corpora.splits import collect, split_name
from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import build_folder

SOURCE = "https://github.com/jbrownlee/Datasets"
URL = f"{SOURCE}/releases/download/Flickr8k/{{}}"
ARCHIVES = {
    "Flickr8k_text.zip": Expected((1_000_000, 5_000_000), md5="bf6c1abcb8e4a833b7f922104de18627"),
    "Flickr8k_Dataset.zip": Expected((900_000_000, 1_300_000_000), md5="f18a1e2920de5bd84dae7cf08ec78978"),
}
TEXT_FOLDER = "Flickr8k_text"
CAPTIONS = {"Flickr8k.token.txt": 2, "captions.tsv": 3}  # file, columns; the first is the official one
LISTS = {
    "train": "Flickr_8k.trainImages.txt",
    "valid": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
HELD_OUT = 1 / 8  # fraction of valid and of test without lists, as in the official split
NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def fetch_folder(cache: Path) -> Path:
    """Return the folder with downloaded images and texts (1.1 GB)."""

    def build(folder: Path) -> None:
        for name, expected in ARCHIVES.items():
            unpack(url_file(URL.format(name), cache, expected), folder)

    return build_folder(cache / "flickr8k", build)


def find_text(folder: Path, names: Sequence[str]) -> Path | None:
    """Return the first of the named text files in ``folder`` or its ``Flickr8k_text``."""
    paths = (place / name for name in names for place in (folder, folder / TEXT_FOLDER))
    return next((path for path in paths if path.is_file()), None)


def plain(caption: str) -> str:
    """Return a caption as usually scored: in lower case, without punctuation (``t-shirt`` -> ``tshirt``)."""
    return " ".join(caption.lower().translate(NO_PUNCTUATION).split())


def read_captions(path: Path, as_written: bool) -> dict[str, tuple[str, ...]]:
    """Return captions by image name, from lines ``NAME#N<tab>caption`` or ``NAME<tab>N<tab>caption``."""
    captions: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(read_text(path).rstrip().split("\n"), start=1):
        cells = line.split("\t")
        if len(cells) != CAPTIONS[path.name]:
            raise UserError(f"{path}:{number}: expected {CAPTIONS[path.name]} columns, got {len(cells)}")
        name = cells[0].partition("#")[0]
        text = clean_text(cells[-1]) if as_written else plain(cells[-1])
        if text:
            captions[name] = (*captions.get(name, ()), text)
    return captions


def split_names(folder: Path, captions: Path, names: Sequence[str]) -> tuple[dict[str, list[str]], str]:
    """Return file names by split, and the origin of the split: official lists, or for ``captions.tsv`` a hash."""
    lists = {split: find_text(folder, [file]) for split, file in LISTS.items()}
    if captions.name == "captions.tsv" and not any(lists.values()):
        return collect((split_name(name, HELD_OUT, HELD_OUT), name) for name in names), "by hash"
    splits = {}
    for split, path in lists.items():
        if path is None:
            raise UserError(f"no {LISTS[split]} in {folder}: it comes in Flickr8k_text.zip with the captions")
        splits[split] = read_text(path).split()
    return splits, "official"


@recipe(
    directions=[("image", "en")],
    source=SOURCE,
    license="research; pictures under Flickr's terms; cite Hodosh et al., 2013",
    version="release Flickr8k",
    help={"as_written": "keep case and punctuation of the captions"},
)
def prepare(request: Request, as_written: bool = False) -> Corpus:
    """Find the pictures, which stay where they are, and their captions."""
    folder = (request.from_dir or fetch_folder(request.cache)).resolve()
    file = find_text(folder, tuple(CAPTIONS))
    if file is None:
        raise UserError(f"no captions in {folder}: expected {' or '.join(CAPTIONS)}, there or in {TEXT_FOLDER}")
    captions = read_captions(file, as_written)
    names, split_by = split_names(folder, file, tuple(captions))
    images = {path.name: path for path in folder.rglob("*.jpg")}
    for what, there in (("picture", images), ("caption", captions)):
        missing = [name for split in names.values() for name in split if name not in there]
        if missing:
            raise UserError(f"no {what} in {folder} for {len(missing):,} of the files, first {missing[0]}; add them")
    splits = {
        split: [Item(Path(name).stem, images[name], captions[name]) for name in listed]
        for split, listed in names.items()
    }
    return Corpus(splits, {"split": split_by})


if __name__ == "__main__":
    sys.exit(prepare.main())
