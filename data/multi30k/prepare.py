"""Multi30k: German and English image captions, with the official split exactly as it is.

No line is dropped, merged or reordered: scores on the 1,000 test pairs are comparable to published ones.
"""

from __future__ import annotations

import sys
from pathlib import Path

from s2s_plugin.corpora.fetching.download import Expected, url_file
from s2s_plugin.corpora.recipe import Corpus, Request, find_file, read_text, recipe
from s2s_plugin.errors import UserError

COMMIT = "a3d2e0d"
SOURCE = "https://github.com/multi30k/dataset"
URL = f"{SOURCE}/raw/{COMMIT}/data/task1/raw/{{}}"
# name of the files and number of lines
SPLITS = {"train": ("train", 29_000), "valid": ("val", 1_014), "test": ("test_2016_flickr", 1_000)}
EXPECTED = {
    "train.de.gz": Expected(626_844, "da8125ac855be9f885093a453810783f45c29cfd239ac3e5e6b348e4d9b1399d"),
    "train.en.gz": Expected(563_164, "2ccc6c78df24f2e6f799e6dd45271204536098c698a0e854fed1f1eb8e46f5e1"),
    "val.de.gz": Expected(24_442, "5254db78dfc42b06b69b0b1ead9f7be8590d3fc3494ae1c7a5e285e2859cb29d"),
    "val.en.gz": Expected(21_521, "9d81d5f5fb716b1c9b995997fe411588b9b0f85c89a4a728c7fa91247530ab48"),
    "test_2016_flickr.de.gz": Expected(22_665, "aca177b3f13376be2c507d0e41475eb111a3b68f761596c896cfe6ffbe4e7758"),
    "test_2016_flickr.en.gz": Expected(20_953, "b2846e62f9e52badc014f35fd2ab2dec188f0372911ddee84280d4d739e115a5"),
}


def get_file(name: str, request: Request) -> Path:
    """Return ``train.en.gz`` or another file of the data set; in the user's folder it may be unpacked."""
    if request.from_dir is None:
        return url_file(URL.format(name), request.cache, EXPECTED[name])
    plain, folder = name.removesuffix(".gz"), "data/task1/raw"
    names = [name, plain, f"{folder}/{name}", f"{folder}/{plain}"]
    return find_file(request.from_dir, names, f"it is {folder}/{name} in {SOURCE}")


def read_lines(path: Path, expected: int) -> list[str]:
    """Return the lines of a file, single-spaced, after checking their number."""
    lines = [" ".join(line.split()) for line in read_text(path).removesuffix("\n").split("\n")]
    if len(lines) != expected:
        raise UserError(f"{path} has {len(lines):,} lines, the official file has {expected:,}; download it again")
    return lines


@recipe(
    directions=[("de", "en"), ("en", "de")],
    source=SOURCE,
    license="none stated; captions of Flickr images, for research and education, non-commercial",
)
def prepare(request: Request) -> Corpus:
    """Read the official split."""
    splits = {}
    for split, (stem, count) in SPLITS.items():
        paths = (get_file(f"{stem}.{lang}.gz", request) for lang in (request.src, request.tgt))
        source, target = (read_lines(path, count) for path in paths)
        splits[split] = list(zip(source, target, strict=True))
    return Corpus(splits, {"version": COMMIT})


if __name__ == "__main__":
    sys.exit(prepare.main())
