"""Free Spoken Digit Dataset: six speakers say the digits, 50 times each; a recording is ``DIGIT_SPEAKER_TAKE.wav``."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from s2s_plugin.corpora import packages as fetch
from s2s_plugin.corpora import splits as corpus
from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError

VERSION = "v1.0.10"
SOURCE = "https://github.com/Jakobovski/free-spoken-digit-dataset"
URL = f"{SOURCE}/archive/refs/tags/{VERSION}.tar.gz"
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPLITS = ("takes", "speakers")
TEST_SPEAKERS = "theo,yweweler"
FIRST_TAKES, NEXT_TAKES = range(5), range(5, 10)

RECORDING = re.compile(r"(?P<digit>\d)_(?P<speaker>[^_]+)_(?P<take>\d+)")


def find_items(folder: Path) -> list[tuple[int, Item]]:
    """``(take, item)`` for every recording below ``folder``, by speaker, digit and take."""
    items = []
    for path in folder.resolve().rglob("*.wav"):
        if match := RECORDING.fullmatch(path.stem):
            items.append((int(match["take"]), Item(path.stem, path, (WORDS[int(match["digit"])],), match["speaker"])))
    if not items:
        raise UserError(f"no recordings below {folder}: expected files named DIGIT_SPEAKER_TAKE.wav, 7_theo_32.wav")
    return sorted(items, key=lambda pair: (pair[1].speaker, pair[1].id[0], pair[0]))


def split_of(take: int, speaker: str, test_speakers: set[str]) -> str:
    """All takes of the test speakers are for testing, and the first takes of the others for validation.

    Without test speakers, the dataset's own rule: the first takes are for testing; the next ones serve for validation.
    """
    if test_speakers:
        tested, validated = speaker in test_speakers, take in FIRST_TAKES
    else:
        tested, validated = take in FIRST_TAKES, take in NEXT_TAKES
    return "test" if tested else "valid" if validated else "train"


def prepare(
    out: Path,
    src: str,
    tgt: str,
    cache: Path,
    from_dir: Path | None = None,
    split: str = "takes",
    test_speakers: str | Sequence[str] = TEST_SPEAKERS,
) -> Path:
    """Write the manifests to ``out`` and return it; the recordings stay where they are.

    ``split``: ``takes`` (every speaker is in every split) or ``speakers`` (``test_speakers``, names or one text with
    commas, are in the test set only).

    Raises:
        UserError: an option is wrong, or the recordings cannot be had.
    """
    if (src, tgt) != ("audio", "en"):
        raise UserError(f"fsdd is for --src audio and --tgt en, got --src {src} --tgt {tgt}")
    if split not in SPLITS:
        raise UserError(f"unknown split {split!r}: choose {' or '.join(SPLITS)}")
    items = find_items(Path(from_dir) if from_dir else fetch.url_archive(URL, Path(cache)))
    names = test_speakers.split(",") if isinstance(test_speakers, str) else test_speakers
    held_out = {name.strip() for name in names} if split == "speakers" else set()
    speakers = {item.speaker for _, item in items}
    if not held_out <= speakers:
        raise UserError(f"test_speakers is {test_speakers!r}: choose some of {', '.join(sorted(speakers))}")
    splits: dict[str, list[Item]] = {name: [] for name in corpus.SPLITS}
    for take, item in items:
        splits[split_of(take, item.speaker, held_out)].append(item)
    meta = {
        "name": "fsdd",
        "source": SOURCE,
        "version": "from folder" if from_dir else VERSION,
        "licence": "CC-BY-SA-4.0",
        "languages": [src, tgt],
        "options": {"split": split, "test_speakers": sorted(held_out)},
    }
    return corpus.write_manifests(out, src, splits, meta)


def main(argv: Sequence[str] | None = None) -> int:
    parser = corpus.recipe_parser(__doc__, src="audio", tgt="en")
    parser.add_argument("--split", choices=SPLITS, default="takes", help="default: %(default)s")
    parser.add_argument("--test-speakers", default=TEST_SPEAKERS, help="for --split speakers (default: %(default)s)")
    return corpus.run_recipe(prepare, parser, argv)


if __name__ == "__main__":
    sys.exit(main())
