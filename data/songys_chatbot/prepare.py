"""Korean questions and answers of everyday life and of love (songys/Chatbot_data), with a fixed held-out split."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from s2s_plugin.corpora.cleaning import Pair, clean_pairs
from s2s_plugin.corpora.dialogues import question_key, split_by_question
from s2s_plugin.corpora.fetching.download import Expected, url_file
from s2s_plugin.corpora.recipe import Corpus, Request, find_file, recipe
from s2s_plugin.errors import UserError

COMMIT = "4cf20d1"
SOURCE = "https://github.com/songys/Chatbot_data"
FILE = "ChatbotData.csv"
URL = f"{SOURCE}/raw/{COMMIT}/{FILE}"
EXPECTED = Expected(889_842, "287eb129695b577321c80ad397bb3c2279164d4ca577874d129fd3db5b30afe2")


def get_file(request: Request) -> Path:
    """Return the file of the data set, downloaded or in the user's folder."""
    if request.from_dir is None:
        return url_file(URL, request.cache, EXPECTED)
    return find_file(request.from_dir, [FILE], f"it is in {SOURCE}")


def read_pairs(path: Path) -> list[Pair]:
    """Return cleaned questions and answers, in the order of the file."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        return clean_pairs((row["Q"], row["A"]) for row in rows)
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"cannot read {path}: {error!r}; expected the columns Q, A and label: download it again"
        ) from error


@recipe(directions=[("turns", "reply")], source=SOURCE, license="MIT", fraction_of="questions")
def prepare(request: Request, valid: float = 0.05, test: float = 0.1) -> Corpus:
    """Read the file and split it by question."""
    items = ((question_key(question), (question, answer)) for question, answer in read_pairs(get_file(request)))
    return Corpus(split_by_question(items, valid, test), {"version": COMMIT})


if __name__ == "__main__":
    sys.exit(prepare.main())
