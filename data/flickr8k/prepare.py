"""Flickr8k: photographs with five English captions each, with the official split.

Of the 8,091 pictures the 8,000 that the official lists name are taken: 6,000, 1,000 and 1,000.
"""

from __future__ import annotations

import string
import sys
from collections.abc import Sequence
from pathlib import Path

from s2s_plugin.corpora import packages as fetch
from s2s_plugin.corpora import splits as corpus
from s2s_plugin.corpora.archive import unpack
from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import build_folder

SOURCE = "https://github.com/jbrownlee/Datasets"
URL = f"{SOURCE}/releases/download/Flickr8k/{{}}"
ARCHIVES = ("Flickr8k_text.zip", "Flickr8k_Dataset.zip")
TEXT_FOLDER = "Flickr8k_text"
CAPTIONS = {"Flickr8k.token.txt": 2, "captions.tsv": 3}  # file, columns; the first is the official one
LISTS = {
    "train": "Flickr_8k.trainImages.txt",
    "valid": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
HELD_OUT = 1 / 8  # the share of valid, and of test, without lists: that of the official split
NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def fetch_folder(cache: Path) -> Path:
    """The folder with pictures and texts from their public home (1.1 GB)."""

    def build(folder: Path) -> None:
        for name in ARCHIVES:
            unpack(fetch.url_file(URL.format(name), cache), folder)

    return build_folder(cache / "flickr8k", build)


def find_text(folder: Path, names: Sequence[str]) -> Path | None:
    """The first of the named text files that is in ``folder`` or its ``Flickr8k_text``."""
    paths = (place / name for name in names for place in (folder, folder / TEXT_FOLDER))
    return next((path for path in paths if path.is_file()), None)


def read_lines(path: Path) -> list[str]:
    """The lines of a text file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start + 1:,} is not UTF-8; fetch it again, or convert it") from None
    return text.rstrip().split("\n")


def plain(caption: str) -> str:
    """A caption as it is scored in the field: lower case, without punctuation (``t-shirt`` -> ``tshirt``)."""
    return " ".join(caption.lower().translate(NO_PUNCTUATION).split())


def read_captions(path: Path, as_written: bool) -> dict[str, tuple[str, ...]]:
    """The captions of each picture's file name: ``NAME#N<tab>caption``, or ``NAME<tab>N<tab>caption``."""
    captions: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(read_lines(path), start=1):
        cells = line.split("\t")
        if len(cells) != CAPTIONS[path.name]:
            raise UserError(f"{path}, line {number}: {len(cells)} columns, expected {CAPTIONS[path.name]}; mend it")
        name = cells[0].partition("#")[0]
        text = corpus.clean_text(cells[-1]) if as_written else plain(cells[-1])
        if text:
            captions[name] = (*captions.get(name, ()), text)
    return captions


def split_names(folder: Path, captions: Path, names: Sequence[str]) -> tuple[dict[str, list[str]], str]:
    """File names of each split, and who split: the official lists; without any, beside ``captions.tsv``, a hash."""
    lists = {split: find_text(folder, [file]) for split, file in LISTS.items()}
    splits: dict[str, list[str]] = {split: [] for split in LISTS}
    if captions.name == "captions.tsv" and not any(lists.values()):
        for name in names:
            splits[corpus.split_name(name, HELD_OUT, HELD_OUT)].append(name)
        return splits, "by hash"
    for split, path in lists.items():
        if path is None:
            raise UserError(f"no {LISTS[split]} in {folder}: it comes in Flickr8k_text.zip with the captions")
        splits[split] = [line.strip() for line in read_lines(path) if line.strip()]
    return splits, "official"


def prepare(out: Path, src: str, tgt: str, cache: Path, from_dir: Path | None = None, as_written: bool = False) -> Path:
    """Write the manifests to ``out`` and return it; the pictures stay where they are.

    ``as_written``: captions keep case and punctuation.

    Raises:
        UserError: an option is wrong, the data cannot be had, or a listed picture or its captions are not there.
    """
    if (src, tgt) != ("image", "en"):
        raise UserError(f"flickr8k is for --src image and --tgt en, got --src {src} --tgt {tgt}")
    folder = (Path(from_dir) if from_dir else fetch_folder(Path(cache))).resolve()
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
    meta = {
        "name": "flickr8k",
        "source": SOURCE,
        "version": "from folder" if from_dir else "release Flickr8k",
        "licence": "research; pictures under Flickr's terms; cite Hodosh et al., 2013",
        "languages": [src, tgt],
        "split": split_by,
        "options": {"as_written": as_written},
    }
    return corpus.write_manifests(out, src, splits, meta)


def main(argv: Sequence[str] | None = None) -> int:
    parser = corpus.recipe_parser(__doc__, src="image", tgt="en")
    parser.add_argument("--as-written", action="store_true", help="keep case and punctuation of the captions")
    return corpus.run_recipe(prepare, parser, argv)


if __name__ == "__main__":
    sys.exit(main())
