"""SIGMORPHON 2020, task 1: words of 15 languages and their pronunciations in IPA, with the official split.

No line is dropped, merged or reordered: scores on the 450 test words of a language compare with published ones.
All is put into NFC, which some lines are not.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from s2s_plugin.corpora import packages as fetch
from s2s_plugin.corpora import splits as corpus
from s2s_plugin.errors import UserError

COMMIT = "3d9bb36"
SOURCE = "https://github.com/sigmorphon/2020"
URL = f"{SOURCE}/raw/{COMMIT}/task1/data/{{folder}}/{{lang}}_{{folder}}.tsv"
FOLDERS = {"train": "train", "valid": "dev", "test": "test"}
LANGUAGES = ["ady", "arm", "bul", "dut", "fre", "geo", "gre", "hin", "hun", "ice", "jpn", "kor", "lit", "rum", "vie"]


def find_file(lang: str, split: str, cache: Path, from_dir: Path | None) -> Path:
    """The file of a split; in the user's folder beside the others, or in a folder of the split."""
    name, folder = f"{lang}_{FOLDERS[split]}.tsv", FOLDERS[split]
    if from_dir is None:
        return fetch.url_file(URL.format(folder=folder, lang=lang), cache)
    for path in (from_dir / name, from_dir / folder / name, from_dir / "task1/data" / folder / name):
        if path.is_file():
            return path
    raise UserError(f"no {name} in {from_dir}: it is task1/data/{folder}/{name} in {SOURCE}")


def read_pairs(path: Path) -> list[corpus.Pair]:
    """Words and pronunciations, one pair a line, a tab between them."""
    pairs = []
    text = unicodedata.normalize("NFC", path.read_text(encoding="utf-8"))
    for number, line in enumerate(text.splitlines(), start=1):
        cells = line.split("\t")
        if len(cells) != 2 or not all(cell.strip() for cell in cells):
            raise UserError(f"{path}, line {number}: expected a word, a tab and its pronunciation; fetch it again")
        pairs.append((" ".join(cells[0].split()), " ".join(cells[1].split())))
    return pairs


def prepare(out: Path, src: str, tgt: str, cache: Path, from_dir: Path | None = None) -> Path:
    """Write the corpus of the language ``src`` to ``out`` and return it.

    Raises:
        UserError: the files cannot be had.
    """
    if src not in LANGUAGES and from_dir is None:
        raise UserError(f"there is no language {src}: give --src, one of {' '.join(LANGUAGES)}")
    folder = from_dir and Path(from_dir)
    splits = {split: read_pairs(find_file(src, split, Path(cache), folder)) for split in corpus.SPLITS}
    meta = {
        "name": "sigmorphon2020",
        "source": SOURCE,
        "version": "from folder" if from_dir else COMMIT,
        "licence": "CC BY-SA 3.0 (Wiktionary, by way of WikiPron)",
        "options": {},
    }
    return corpus.write_corpus(out, splits, (src, tgt), meta)


def main(argv: Sequence[str] | None = None) -> int:
    return corpus.run_recipe(prepare, corpus.recipe_parser(__doc__, src="kor", tgt="ipa"), argv)


if __name__ == "__main__":
    sys.exit(main())
