"""Synthetic lips: drawn mouths that speak sentences of GRID's grammar ("bin blue at f two now"); no real speaker.

espeak-ng times the phones of each sentence (phones.py), one of several faces is drawn with their mouth shapes
(mouth.py) and written as a video of 3 seconds, as long as GRID's (render.py).
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from s2s_plugin.corpora.recipe import Corpus, Request, recipe
from s2s_plugin.corpora.splits import collect
from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import build_folder
from s2s_plugin.utils.progress import Progress

DRAWING = 1  # increased when the same options draw other videos
NEEDED = ("av", "espeakng_loader")

GRAMMAR = (
    ("bin", "lay", "place", "set"),
    ("blue", "green", "red", "white"),
    ("at", "by", "in", "with"),
    tuple("abcdefghijklmnopqrstuvxyz"),  # without w, as in GRID
    ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    ("again", "now", "please", "soon"),
)
SENTENCES = math.prod(map(len, GRAMMAR))  # 64,000
HELD_OUT = 0.08  # of the clips, for valid and for test each
BATCH = 40  # clips that one process draws


class Planned(NamedTuple):
    """One clip to draw; ``number`` seeds its random choices."""

    number: int
    split: str
    speaker: int
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """The face and the sentence in GRID's code: ``bin blue at f two now`` is ``bbaf2n``."""
        *letters, digit, adverb = self.words
        code = "".join(word[0] for word in letters) + str(GRAMMAR[4].index(digit) or "z") + adverb[0]
        return f"face{self.speaker:02}_{code}"


def sentence(number: int) -> tuple[str, ...]:
    """Return the words of sentence ``number``, 0 to ``SENTENCES - 1``."""
    words = []
    for choices in GRAMMAR:
        number, choice = divmod(number, len(choices))
        words.append(choices[choice])
    return tuple(words)


def plan(clips: int, speakers: int, unseen: int, seed: int) -> list[Planned]:
    """Return the clips to draw: no sentence twice; faces take turns, the last ``unseen`` of them in test only."""
    held_out = max(1, round(HELD_OUT * clips))
    planned = []
    for number, chosen in enumerate(random.Random(seed).sample(range(SENTENCES), clips)):
        split = "test" if number < held_out else "valid" if number < 2 * held_out else "train"
        faces = speakers if split == "test" else speakers - unseen
        planned.append(Planned(number, split, number % faces, sentence(chosen)))
    return planned


def render(planned: Sequence[Planned], seed: int, folder: Path) -> None:
    """Draw the videos into ``folder`` on all cores, in batches that are the same on any machine."""
    program = [sys.executable, str(Path(__file__).with_name("render.py")), str(folder), str(seed)]

    def draw(batch: Sequence[Planned]) -> int:
        rows = [(clip.name, clip.number, clip.speaker, " ".join(clip.words)) for clip in batch]
        done = subprocess.run(program, input=json.dumps(rows), stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise UserError(f"drawing failed: {(done.stderr.strip() or 'killed').splitlines()[-1]}")
        return len(batch)

    batches = [planned[start : start + BATCH] for start in range(0, len(planned), BATCH)]
    bar = Progress(desc="drawing synthetic lips", total=len(planned), unit=" clips")
    with bar, ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for drawn in pool.map(draw, batches):
            bar.update(drawn)


def check_number(name: str, value: int, minimum: int, maximum: int) -> None:
    """Raise UserError unless ``value`` is an integer in this range."""
    if not isinstance(value, int) or not minimum <= value <= maximum:
        raise UserError(f"{name} must be an integer from {minimum} to {maximum:,}, got {value!r}")


@recipe(
    directions=[("video", "en")],
    source="synthetic: drawn by data/synthetic_lips/prepare.py",
    license="MIT, like this project",
    help={
        "clips": "number of clips in all splits",
        "speakers": "number of faces",
        "unseen": "number of faces that are in test only",
        "seed": "seed of all random choices",
    },
)
def prepare(request: Request, clips: int = 1200, speakers: int = 12, unseen: int = 2, seed: int = 1) -> Corpus:
    """Draw the videos, to files below the cache."""
    if request.from_dir is not None:
        raise UserError(f"synthetic_lips is drawn, not read from {request.from_dir}: remove --from")
    check_number("clips", clips, 3, SENTENCES)
    check_number("speakers", speakers, 1, 99)
    check_number("unseen", unseen, 0, speakers - 1)
    check_number("seed", seed, 0, 2**32 - 1)
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"synthetic_lips requires {' and '.join(missing)}: pip install 's2s-plugin[video]'")
    options = {"clips": clips, "speakers": speakers, "unseen": unseen, "seed": seed}
    made_by = f"drawing {DRAWING}, espeakng-loader {version('espeakng-loader')}"
    digest = hashlib.sha256(json.dumps([options, made_by]).encode()).hexdigest()[:8]
    planned = plan(clips, speakers, unseen, seed)
    folder = request.cache.resolve() / "synthetic_lips" / digest
    build_folder(folder, lambda partial: render(planned, seed, partial))
    splits = collect(
        (clip.split, Item(clip.name, folder / f"{clip.name}.mp4", (" ".join(clip.words),), f"face{clip.speaker:02}"))
        for clip in planned
    )
    return Corpus(splits, {"version": made_by})


if __name__ == "__main__":
    sys.exit(prepare.main())
