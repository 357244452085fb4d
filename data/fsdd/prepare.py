"""Free Spoken Digit Dataset: six speakers say the digits, 50 times each; a recording is ``DIGIT_SPEAKER_TAKE.wav``."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from s2s_plugin.corpora.fetching.download import Expected, url_archive
from s2s_plugin.corpora.recipe import Corpus, Request, recipe
from s2s_plugin.corpora.splits import collect
from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError

VERSION = "v1.0.10"
SOURCE = "https://github.com/Jakobovski/free-spoken-digit-dataset"
URL = f"{SOURCE}/archive/refs/tags/{VERSION}.tar.gz"
EXPECTED = Expected(  # packed by GitHub on demand: what is in it is fixed
    (8_000_000, 40_000_000), content="0fa1b91f75723a1b57140eb2f3873f2958f9c0e5813be863ee775fa60b3456aa"
)
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEST_SPEAKERS = "theo,yweweler"
FIRST_TAKES, NEXT_TAKES = range(5), range(5, 10)

RECORDING = re.compile(r"(?P<digit>\d)_(?P<speaker>[^_]+)_(?P<take>\d+)")


def find_items(folder: Path) -> list[tuple[int, Item]]:
    """Return ``(take, item)`` for every recording below ``folder``, ordered by speaker, digit and take."""
    items = []
    for path in folder.resolve().rglob("*.wav"):
        if match := RECORDING.fullmatch(path.stem):
            items.append((int(match["take"]), Item(path.stem, path, (WORDS[int(match["digit"])],), match["speaker"])))
    if not items:
        raise UserError(f"no recordings below {folder}: expected files named DIGIT_SPEAKER_TAKE.wav, 7_theo_32.wav")
    return sorted(items, key=lambda pair: (pair[1].speaker, pair[1].id[0], pair[0]))


def split_of(take: int, speaker: str, test_speakers: set[str]) -> str:
    """Return the split of a take.

    All takes of the test speakers are for testing, the first takes of the others for validation. Without test speakers
    the dataset's own rule applies: the first takes are for testing; the next ones serve for validation.
    """
    if test_speakers:
        tested, validated = speaker in test_speakers, take in FIRST_TAKES
    else:
        tested, validated = take in FIRST_TAKES, take in NEXT_TAKES
    return "test" if tested else "valid" if validated else "train"


@recipe(
    directions=[("audio", "en")],
    source=SOURCE,
    license="CC-BY-SA-4.0",
    version=VERSION,
    help={
        "split": "by takes (every speaker is in every split) or by speakers",
        "test_speakers": "speakers of the test set, with --split speakers",
    },
    choices={"split": ("takes", "speakers")},
)
def prepare(request: Request, split: str = "takes", test_speakers: str | Sequence[str] = TEST_SPEAKERS) -> Corpus:
    """Find the recordings, which stay where they are, and split them by take or speaker."""
    items = find_items(request.from_dir or url_archive(URL, request.cache, EXPECTED))
    names = test_speakers.split(",") if isinstance(test_speakers, str) else test_speakers
    held_out = {name.strip() for name in names} if split == "speakers" else set()
    speakers = {item.speaker for _, item in items}
    if not held_out <= speakers:
        raise UserError(f"test_speakers must be some of {', '.join(sorted(speakers))}, got {test_speakers!r}")
    splits = collect((split_of(take, item.speaker, held_out), item) for take, item in items)
    return Corpus(splits, {"options": {"split": split, "test_speakers": sorted(held_out)}})


if __name__ == "__main__":
    sys.exit(prepare.main())
