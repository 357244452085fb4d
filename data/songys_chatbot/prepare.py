"""Korean questions and answers of everyday life and of love (songys/Chatbot_data), with a fixed held-out split."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from s2s_plugin.corpora import dialogues as dialogue
from s2s_plugin.corpora import packages as fetch
from s2s_plugin.corpora import splits as corpus
from s2s_plugin.errors import UserError

SIDES = "turns", "reply"
COMMIT = "4cf20d1"
SOURCE = "https://github.com/songys/Chatbot_data"
FILE = "ChatbotData.csv"
URL = f"{SOURCE}/raw/{COMMIT}/{FILE}"
SHA256 = "287eb129695b577321c80ad397bb3c2279164d4ca577874d129fd3db5b30afe2"


def find_file(cache: Path, from_dir: Path | None) -> Path:
    """The file of the data set, from its home or in the user's folder."""
    if from_dir is None:
        return fetch.url_file(URL, cache, SHA256)
    if not (from_dir / FILE).is_file():
        raise UserError(f"no {FILE} in {from_dir}: it is in {SOURCE}")
    return from_dir / FILE


def read_pairs(path: Path) -> list[corpus.Pair]:
    """Questions and answers, cleaned, in the order of the file."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        return corpus.clean_pairs((row["Q"], row["A"]) for row in rows)
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"cannot read {path}: {error!r}; it has the columns Q, A and label: fetch it again") from error


def prepare(
    out: Path,
    src: str,
    tgt: str,
    cache: Path,
    from_dir: Path | None = None,
    valid: float = 0.05,
    test: float = 0.1,
) -> Path:
    """Write the corpus to ``out`` and return it. ``valid``, ``test``: share of the questions.

    Raises:
        UserError: an option is wrong, or the file cannot be had or read.
    """
    corpus.check_sides(src, tgt, SIDES)
    corpus.check_shares(valid, test)
    pairs = read_pairs(find_file(Path(cache), from_dir and Path(from_dir)))
    items = ((dialogue.question_key(question), (question, answer)) for question, answer in pairs)
    meta = {
        "name": "songys_chatbot",
        "source": SOURCE,
        "version": COMMIT,
        "licence": "MIT",
        "options": {"valid": valid, "test": test},
    }
    return corpus.write_corpus(out, dialogue.split_by_question(items, valid, test), (src, tgt), meta)


def main(argv: Sequence[str] | None = None) -> int:
    parser = corpus.recipe_parser(__doc__, src=SIDES[0], tgt=SIDES[1])
    corpus.add_shares(parser, "questions", valid=0.05, test=0.1)
    return corpus.run_recipe(prepare, parser, argv)


if __name__ == "__main__":
    sys.exit(main())
