"""NL2Bash: requests in English and one-line Bash commands, with the split of the paper (Lin et al. 2018).

A held-out item is a request with all its commands, each on a line of its own with the same request.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from s2s_plugin.corpora.fetching.download import Expected, url_file
from s2s_plugin.corpora.recipe import Corpus, Request, find_file, read_text, recipe
from s2s_plugin.errors import UserError

COMMIT = "466c5fe8"
SOURCE = "https://github.com/TellinaTool/nl2bash"
URL = f"{SOURCE}/raw/{COMMIT}/data/bash/{{}}"
LINES = 12_607
EXPECTED = {
    "all.nl": Expected(1_032_340, "1db0c529c350b463919624550b8f5882a97c42ad5051c7d49fbc496bc4e8b770"),
    "all.cm": Expected(575_091, "3a72eaced7fa14a0938354cefc42b2dcafb2d47297102f1279086e18c3abe57e"),
}
# The split by the repository's own scripts, as line numbers from 1: for each held-out item the lines of its commands,
# and the discarded lines. All others are for training.
SPLIT = Path(__file__).with_name("split.json")


def get_file(name: str, request: Request) -> Path:
    """Return ``all.nl`` or ``all.cm``; in the user's folder it may be packed, ``all.nl.gz``."""
    if request.from_dir is None:
        return url_file(URL.format(name), request.cache, EXPECTED[name])
    names = [name, f"{name}.gz", f"data/bash/{name}", f"data/bash/{name}.gz"]
    return find_file(request.from_dir, names, f"it is data/bash/{name} in {SOURCE}")


def read_lines(path: Path) -> list[str]:
    """Return the stripped lines of a file, after checking their number."""
    lines = [line.strip() for line in read_text(path).removesuffix("\n").split("\n")]
    if len(lines) != LINES:
        raise UserError(f"{path} has {len(lines):,} lines, the official file has {LINES:,}; download it again")
    return lines


@recipe(directions=[("en", "bash")], source=SOURCE, license="MIT")
def prepare(request: Request) -> Corpus:
    """Read the files and split them by ``split.json``."""
    requests, commands = (read_lines(get_file(name, request)) for name in EXPECTED)
    split = json.loads(SPLIT.read_text(encoding="utf-8"))
    requests = [" ".join(text.split()) for text in requests]
    splits = {
        name: [(requests[item[0] - 1], commands[line - 1]) for item in split[name] for line in item]
        for name in ("valid", "test")
    }
    not_in_train = {*split["left_out"], *(line for name in splits for item in split[name] for line in item)}
    splits["train"] = [(requests[i], commands[i]) for i in range(LINES) if i + 1 not in not_in_train]
    return Corpus(splits, {"version": COMMIT})


if __name__ == "__main__":
    sys.exit(prepare.main())
