"""SIGMORPHON 2020, task 1: words of 15 languages and their pronunciations in IPA, with the official split.

No line is dropped, merged or reordered: scores on the 450 test words of a language are comparable to
published ones. All text is normalized to NFC, which some lines are not.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from pathlib import Path

from s2s_plugin.corpora.cleaning import Pair
from s2s_plugin.corpora.fetching.download import Expected, url_file
from s2s_plugin.corpora.recipe import Corpus, Request, find_file, read_text, recipe
from s2s_plugin.errors import UserError

COMMIT = "3d9bb36"
SOURCE = "https://github.com/sigmorphon/2020"
URL = f"{SOURCE}/raw/{COMMIT}/task1/data/{{folder}}/{{lang}}_{{folder}}.tsv"
FOLDERS = {"train": "train", "valid": "dev", "test": "test"}
EXPECTED = Path(__file__).with_name("expected.json")  # size and sha256 of each file
LANGUAGES = ["kor", "ady", "arm", "bul", "dut", "fre", "geo", "gre", "hin", "hun", "ice", "jpn", "lit", "rum", "vie"]


def get_file(folder: str, request: Request) -> Path:
    """Return the file of a split; the user's copy may have a folder per split, or none."""
    name = f"{request.src}_{folder}.tsv"
    if request.from_dir is None:
        expected = Expected(*json.loads(EXPECTED.read_text(encoding="utf-8"))[name])
        return url_file(URL.format(folder=folder, lang=request.src), request.cache, expected)
    places = [name, f"{folder}/{name}", f"task1/data/{folder}/{name}"]
    return find_file(request.from_dir, places, f"it is task1/data/{folder}/{name} in {SOURCE}")


def read_pairs(path: Path) -> list[Pair]:
    """Return words and pronunciations, from lines with a tab between them."""
    pairs = []
    for number, line in enumerate(unicodedata.normalize("NFC", read_text(path)).splitlines(), start=1):
        cells = line.split("\t")
        if len(cells) != 2 or not all(cell.strip() for cell in cells):
            raise UserError(f"{path}:{number}: expected a word, a tab and its pronunciation, got {line!r}")
        pairs.append((" ".join(cells[0].split()), " ".join(cells[1].split())))
    return pairs


@recipe(
    directions=[(lang, "ipa") for lang in LANGUAGES],
    exhaustive=False,
    source=SOURCE,
    license="CC BY-SA 3.0 (Wiktionary, by way of WikiPron)",
    version=COMMIT,
)
def prepare(request: Request) -> Corpus:
    """Read the official split of the language ``request.src``; the user's folder may have another language."""
    if request.from_dir is None and request.src not in LANGUAGES:
        raise UserError(f"--src must be one of {', '.join(LANGUAGES)}, got {request.src}")
    return Corpus({split: read_pairs(get_file(folder, request)) for split, folder in FOLDERS.items()})


if __name__ == "__main__":
    sys.exit(prepare.main())
