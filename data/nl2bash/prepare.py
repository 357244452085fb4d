"""NL2Bash: requests in English and one-line Bash commands, with the split of the paper (Lin et al. 2018).

A held-out item is a request with all its commands; they stand in lines of their own, with the same request.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from s2s_plugin.corpora import packages as fetch
from s2s_plugin.corpora import splits as corpus
from s2s_plugin.errors import UserError

SIDES = "en", "bash"
COMMIT = "466c5fe8"
SOURCE = "https://github.com/TellinaTool/nl2bash"
URL = f"{SOURCE}/raw/{COMMIT}/data/bash/{{}}"
LINES = 12_607
SHA256 = {
    "all.nl": "1db0c529c350b463919624550b8f5882a97c42ad5051c7d49fbc496bc4e8b770",
    "all.cm": "3a72eaced7fa14a0938354cefc42b2dcafb2d47297102f1279086e18c3abe57e",
}
# What the repository's own scripts make of the corpus, as line numbers from 1: for each held-out item the lines of
# its commands, and the lines that are left out. All others are for training.
SPLIT = Path(__file__).with_name("split.json")


def find_file(name: str, cache: Path, from_dir: Path | None) -> Path:
    """``all.nl`` or ``all.cm``; in the user's folder it may also lie packed, ``all.nl.gz``."""
    if from_dir is None:
        return fetch.url_file(URL.format(name), cache, SHA256[name])
    for folder in (from_dir, from_dir / "data/bash"):
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    raise UserError(f"no {name} in {from_dir}: it is data/bash/{name} in {SOURCE}")


def read_lines(path: Path) -> list[str]:
    """The lines of a file without spaces around them; their number is checked."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        lines = [line.strip() for line in raw.decode("utf-8").split("\n")[:-1]]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}; fetch it again") from error
    if len(lines) != LINES:
        raise UserError(f"{path} has {len(lines):,} lines, the official file has {LINES:,}; fetch it again")
    return lines


def prepare(out: Path, src: str, tgt: str, cache: Path, from_dir: Path | None = None) -> Path:
    """Write the corpus to ``out`` and return it.

    Raises:
        UserError: the files cannot be had or are not the official ones.
    """
    corpus.check_sides(src, tgt, SIDES)
    folder = from_dir and Path(from_dir)
    requests, commands = (read_lines(find_file(name, Path(cache), folder)) for name in SHA256)
    split = json.loads(SPLIT.read_text(encoding="utf-8"))
    requests = [" ".join(request.split()) for request in requests]
    splits: corpus.Splits = {}
    taken = set(split["left_out"])
    for name in ("valid", "test"):
        splits[name] = [(requests[item[0] - 1], commands[line - 1]) for item in split[name] for line in item]
        taken.update(line for item in split[name] for line in item)
    splits["train"] = [(requests[i], commands[i]) for i in range(LINES) if i + 1 not in taken]
    meta = {
        "name": "nl2bash",
        "source": SOURCE,
        "version": COMMIT,
        "licence": "MIT",
        "options": {},
    }
    return corpus.write_corpus(out, splits, (src, tgt), meta, exact=(tgt,))


def main(argv: Sequence[str] | None = None) -> int:
    return corpus.run_recipe(prepare, corpus.recipe_parser(__doc__, src=SIDES[0], tgt=SIDES[1]), argv)


if __name__ == "__main__":
    sys.exit(main())
