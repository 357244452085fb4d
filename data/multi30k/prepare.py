"""Multi30k: German and English image captions, with the official split exactly as it is.

No line is dropped, merged or reordered: scores on the 1,000 test pairs compare with published ones.
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Sequence
from pathlib import Path

from s2s_plugin.corpora import packages as fetch
from s2s_plugin.corpora import splits as corpus
from s2s_plugin.errors import UserError

COMMIT = "a3d2e0d"
SOURCE = "https://github.com/multi30k/dataset"
URL = f"{SOURCE}/raw/{COMMIT}/data/task1/raw/{{}}"
SPLITS = {
    "train": ("train", 29_000),
    "valid": ("val", 1_014),
    "test": ("test_2016_flickr", 1_000),
}  # name, lines
SHA256 = {
    "train.de.gz": "da8125ac855be9f885093a453810783f45c29cfd239ac3e5e6b348e4d9b1399d",
    "train.en.gz": "2ccc6c78df24f2e6f799e6dd45271204536098c698a0e854fed1f1eb8e46f5e1",
    "val.de.gz": "5254db78dfc42b06b69b0b1ead9f7be8590d3fc3494ae1c7a5e285e2859cb29d",
    "val.en.gz": "9d81d5f5fb716b1c9b995997fe411588b9b0f85c89a4a728c7fa91247530ab48",
    "test_2016_flickr.de.gz": "aca177b3f13376be2c507d0e41475eb111a3b68f761596c896cfe6ffbe4e7758",
    "test_2016_flickr.en.gz": "b2846e62f9e52badc014f35fd2ab2dec188f0372911ddee84280d4d739e115a5",
}


def find_file(name: str, cache: Path, from_dir: Path | None) -> Path:
    """``name`` (``train.en.gz``) of the data set; in the user's folder it may also lie unpacked."""
    if from_dir is None:
        return fetch.url_file(URL.format(name), cache, SHA256[name])
    for folder in (from_dir, from_dir / "data/task1/raw"):
        for path in (folder / name, folder / name.removesuffix(".gz")):
            if path.is_file():
                return path
    raise UserError(f"no {name} in {from_dir}: it is data/task1/raw/{name} in {SOURCE}")


def read_lines(path: Path, expected: int) -> list[str]:
    """The lines of a file, words one space apart; their number is checked."""
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8", newline="\n") as file
        ):
            lines = [" ".join(line.split()) for line in file]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}; fetch it again") from error
    if len(lines) != expected:
        raise UserError(f"{path} has {len(lines):,} lines, the official file has {expected:,}; fetch it again")
    return lines


def prepare(out: Path, src: str, tgt: str, cache: Path, from_dir: Path | None = None) -> Path:
    """Write the corpus to ``out`` and return it; ``src`` and ``tgt`` are ``de`` and ``en``.

    Raises:
        UserError: another language, or the files cannot be had or are not the official ones.
    """
    if {src, tgt} != {"de", "en"}:
        raise UserError(f"multi30k is prepared for de and en, got --src {src} --tgt {tgt}")
    folder = from_dir and Path(from_dir)
    splits: corpus.Splits = {}
    for split, (stem, count) in SPLITS.items():
        files = (find_file(f"{stem}.{lang}.gz", Path(cache), folder) for lang in (src, tgt))
        source, target = (read_lines(path, count) for path in files)
        splits[split] = list(zip(source, target, strict=True))
    meta = {
        "name": "multi30k",
        "source": SOURCE,
        "version": COMMIT,
        "licence": "none stated; captions of Flickr images, for research and education, non-commercial",
        "options": {},
    }
    return corpus.write_corpus(out, splits, (src, tgt), meta)


def main(argv: Sequence[str] | None = None) -> int:
    return corpus.run_recipe(prepare, corpus.recipe_parser(__doc__, src="de", tgt="en"), argv)


if __name__ == "__main__":
    sys.exit(main())
