"""Synthetic lips: drawn mouths that say sentences of GRID's grammar ("bin blue at f two now"); no real speaker.

espeak-ng times the phones of each sentence (phones.py); the mouth goes through their shapes in one of several faces
(mouth.py); a video of 3 seconds is written, as long as GRID's (render.py).
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

from s2s_plugin.corpora import splits as corpus
from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import build_folder
from s2s_plugin.utils.progress import Progress

DRAWING = 1  # counts up when the same options draw other videos
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
    """One clip to come; ``number`` seeds its random choices."""

    number: int
    split: str
    speaker: int
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """Face and sentence, the latter in GRID's code: ``bin blue at f two now`` is ``bbaf2n``."""
        *letters, digit, adverb = self.words
        code = "".join(word[0] for word in letters) + str(GRAMMAR[4].index(digit) or "z") + adverb[0]
        return f"face{self.speaker:02}_{code}"


def sentence(number: int) -> tuple[str, ...]:
    """The words of sentence 0 to ``SENTENCES - 1``."""
    words = []
    for choices in GRAMMAR:
        number, choice = divmod(number, len(choices))
        words.append(choices[choice])
    return tuple(words)


def plan(clips: int, speakers: int, unseen: int, seed: int) -> list[Planned]:
    """What to draw: no sentence twice; faces take turns, the last ``unseen`` of them in test only."""
    held_out = max(1, round(HELD_OUT * clips))
    planned = []
    for number, chosen in enumerate(random.Random(seed).sample(range(SENTENCES), clips)):
        split = "test" if number < held_out else "valid" if number < 2 * held_out else "train"
        faces = speakers if split == "test" else speakers - unseen
        planned.append(Planned(number, split, number % faces, sentence(chosen)))
    return planned


def render(planned: Sequence[Planned], seed: int, folder: Path) -> None:
    """Draw the videos into ``folder``, on all cores; the batches, and so the videos, are the same on any machine."""
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


def check_number(name: str, value: int, least: int, most: int) -> None:
    """Raise UserError unless ``value`` is a whole number from ``least`` to ``most``."""
    if not isinstance(value, int) or not least <= value <= most:
        raise UserError(f"{name} must be a whole number from {least} to {most:,}, got {value!r}")


def prepare(
    out: Path,
    src: str,
    tgt: str,
    cache: Path,
    from_dir: Path | None = None,
    clips: int = 1200,
    speakers: int = 12,
    unseen: int = 2,
    seed: int = 1,
) -> Path:
    """Draw the videos below ``cache``, write their manifests to ``out`` and return it.

    ``clips``: of all splits; ``speakers``: faces, ``unseen`` of them in test only; ``seed``: of all random choices.

    Raises:
        UserError: an option is wrong, or a package of the extra [video] is missing.
    """
    if (src, tgt) != ("video", "en"):
        raise UserError(f"synthetic_lips goes from video to en, got --src {src} --tgt {tgt}")
    if from_dir is not None:
        raise UserError(f"synthetic_lips is drawn, not read from {from_dir}: leave --from out")
    check_number("clips", clips, 3, SENTENCES)
    check_number("speakers", speakers, 1, 99)
    check_number("unseen", unseen, 0, speakers - 1)
    check_number("seed", seed, 0, 2**32 - 1)
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"synthetic_lips needs {' and '.join(missing)}: pip install 's2s-plugin[video]'")
    options = {"clips": clips, "speakers": speakers, "unseen": unseen, "seed": seed}
    made_by = f"drawing {DRAWING}, espeakng-loader {version('espeakng-loader')}"
    digest = hashlib.sha256(json.dumps([options, made_by]).encode()).hexdigest()[:8]
    planned = plan(clips, speakers, unseen, seed)
    folder = Path(cache).resolve() / "synthetic_lips" / digest
    build_folder(folder, lambda partial: render(planned, seed, partial))
    splits: dict[str, list[Item]] = {split: [] for split in corpus.SPLITS}
    for clip in planned:
        media = folder / f"{clip.name}.mp4"
        splits[clip.split].append(Item(clip.name, media, (" ".join(clip.words),), f"face{clip.speaker:02}"))
    meta = {
        "name": "synthetic_lips",
        "source": "synthetic: drawn by data/synthetic_lips/prepare.py",
        "version": made_by,
        "licence": "MIT, like this project",
        "languages": [src, tgt],
        "options": options,
    }
    return corpus.write_manifests(out, src, splits, meta)


def main(argv: Sequence[str] | None = None) -> int:
    parser = corpus.recipe_parser(__doc__, src="video", tgt="en")
    parser.add_argument("--clips", type=int, default=1200, help="of all splits (default: %(default)s)")
    parser.add_argument("--speakers", type=int, default=12, help="faces (default: %(default)s)")
    parser.add_argument("--unseen", type=int, default=2, help="faces that are in test only (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of all random choices (default: %(default)s)")
    return corpus.run_recipe(prepare, parser, argv)


if __name__ == "__main__":
    sys.exit(main())
