"""Measure ``s2s check``: time and memory by the number of rows, and how many planted mistakes it finds.

    python bench/check.py [--rows 100000 1000000] [--multi30k FOLDER]

The rows are random words by Zipf's law, a hundredth of them repeated exactly and another with one letter changed. The
mistakes are planted in Multi30k (German and English), fifty of each kind. Writes ``bench/results/check.json``.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import BIN, ROOT, machine, parser, read_result, write_result

PLANTED = 50  # of each kind
Pair = tuple[str, str]


def write_rows(folder: Path, rows: int) -> None:
    """Write ``rows.en`` and ``rows.de`` with random sentences of 5 to 25 words."""
    random_words = np.random.default_rng(1)
    letters = np.array(list("etaoinshrdlucmfwypvbgk"))
    vocabulary = ["".join(random_words.choice(letters, random_words.integers(2, 9))) for _ in range(20_000)]
    weights = 1 / np.arange(1, 20_001)
    weights /= weights.sum()
    chance = random.Random(1)
    earlier: list[Pair] = []
    with (folder / "rows.en").open("w") as source, (folder / "rows.de").open("w") as target:
        for start in range(0, rows, 10_000):
            ids = random_words.choice(20_000, (10_000, 50), p=weights)
            for words in ids[: rows - start]:
                length = chance.randint(5, 25)
                pair = tuple(
                    " ".join(vocabulary[number] for number in part)
                    for part in (words[:length], words[25 : 25 + length])
                )
                draw = chance.random()
                if earlier and draw < 0.02:
                    pair = chance.choice(earlier)
                    if draw < 0.01:
                        pair = (change_letter(pair[0], chance), pair[1])
                elif draw < 0.03 and len(earlier) < 10_000:
                    earlier.append((pair[0], pair[1]))
                source.write(f"{pair[0]}\n")
                target.write(f"{pair[1]}\n")


def change_letter(text: str, chance: random.Random) -> str:
    """Change a letter inside the longest word."""
    word = max(text.split(), key=len)
    place = chance.randrange(1, max(2, len(word) - 1))
    return text.replace(word, f"{word[:place]}x{word[place + 1 :]}", 1)


def measure(folder: Path, rows: int) -> dict[str, Any]:
    """Return seconds, and the largest memory of the command in megabytes."""
    write_rows(folder, rows)
    result = check(folder, "rows.en", "rows.de")
    for name in ("rows.en", "rows.de"):
        (folder / name).unlink()
    return {
        "rows": rows,
        **{key: result[key] for key in ("seconds", "cpu_seconds", "megabytes")},
        "findings": counts(result),
    }


def check(folder: Path, *words: str) -> dict[str, Any]:
    """Run the command and return its JSON, with seconds and the largest memory."""
    started = time.monotonic()
    command = [str(BIN / "s2s"), "check", *words, "check.json=true", "check.examples=1000"]
    with (folder / "found.json").open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)}: ended with {os.waitstatus_to_exitcode(status)}")
    result = json.loads((folder / "found.json").read_text(encoding="utf-8"))
    return {
        **result,
        "seconds": round(time.monotonic() - started),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime),
        "megabytes": round(usage.ru_maxrss / 1024),
    }


def counts(result: dict[str, Any]) -> dict[str, int]:
    """Return the number of rows of each finding."""
    return {finding["kind"]: finding["count"] for finding in result["findings"]}


MISTAKES: dict[str, Callable[[Pair, Pair, random.Random], Pair]] = {
    "duplicate": lambda pair, other, chance: (other[0].upper(), other[1].rstrip(".") + " !"),
    "near_duplicate": lambda pair, other, chance: (change_letter(other[0], chance), other[1]),
    "mojibake": lambda pair, other, chance: (f"{pair[0]} Größe".encode().decode("latin-1"), pair[1]),
    "script": lambda pair, other, chance: (pair[0], "Собака бежит по полю за мячом."),
    "language": lambda pair, other, chance: (pair[0], other[0]),
    "copy": lambda pair, other, chance: (pair[0], pair[0]),
    "length": lambda pair, other, chance: (" ".join(pair[0].split()[:2]), f"{pair[1]} {other[1]}"),
    "empty": lambda pair, other, chance: ("", pair[1]),
    "control": lambda pair, other, chance: (f"{pair[0][:5]}\u200b{pair[0][5:]}", pair[1]),
}


def plant(multi30k: Path, folder: Path) -> dict[str, dict[str, int]]:
    """Plant mistakes in the training set; return how many of each kind are found, and how many more are."""
    sides = [
        gzip.decompress((multi30k / f"train.{language}.gz").read_bytes()).decode().split("\n")[:-1]
        for language in ("de", "en")
    ]
    pairs: list[Pair] = list(zip(*sides, strict=True))
    clean = counts(_check_pairs(folder, pairs))
    chance = random.Random(1)
    long = [number for number, pair in enumerate(pairs) if number > 10_000 and min(map(len, pair)) > 50]
    places = chance.sample(long, PLANTED * len(MISTAKES))
    planted: dict[str, set[int]] = {}
    for kind, change in MISTAKES.items():
        planted[kind] = set(places[:PLANTED])
        for number in places[:PLANTED]:
            others = [pair for pair in chance.sample(pairs[:10_000], 20) if min(map(len, pair)) > 50]
            pairs[number] = change(pairs[number], others[0], chance)
        places = places[PLANTED:]
    result = _check_pairs(folder, pairs)
    figures = {}
    for kind, numbers in planted.items():
        examples = [each for finding in result["findings"] if finding["kind"] == kind for each in finding["examples"]]
        lines = {int(example["where"].rpartition(":")[2]) - 1 for example in examples}
        changed = set.union(*planted.values())
        figures[kind] = {
            "planted": PLANTED,
            "found": len(lines & numbers),
            "before": clean.get(kind, 0),
            "in unchanged pairs": len(lines - changed),
        }
    return figures


def _check_pairs(folder: Path, pairs: list[Pair]) -> dict[str, Any]:
    for side, language in enumerate(("de", "en")):
        (folder / f"m.{language}").write_text("".join(f"{pair[side]}\n" for pair in pairs), encoding="utf-8")
    return check(folder, "m.de", "m.en")


def main() -> None:
    """Measure what the command line names."""
    arguments = parser(__doc__)
    arguments.add_argument("--rows", nargs="*", type=int, default=[100_000, 1_000_000])
    arguments.add_argument("--multi30k", type=Path, default=ROOT.parent / "shared" / "data" / "multi30k")
    options = arguments.parse_args()
    record = read_result("check") or {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.multi30k.is_dir():
            record["planted"] = plant(options.multi30k, folder)
        for rows in options.rows:
            record.setdefault("sizes", {})[str(rows)] = measure(folder, rows)
    record["sizes"] = dict(sorted(record.get("sizes", {}).items(), key=lambda item: int(item[0])))
    write_result("check", {**record, "machine": machine()})


if __name__ == "__main__":
    main()
