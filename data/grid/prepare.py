"""GRID: speaker s1 of the audio-visual sentence corpus, 1,000 sentences of six words ("bin blue at f two now").

The source is the video, or the sound track of the same files.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from s2s_plugin.corpora.fetching.archive import unpack
from s2s_plugin.corpora.fetching.download import Expected, url_file
from s2s_plugin.corpora.recipe import Corpus, Request, read_text, recipe
from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import build_folder

SPEAKER = "s1"
MOUTH = "110x55+105+178"  # place of the speaker's mouth in all clips
SOURCE = "https://spandh.dcs.shef.ac.uk/gridcorpus"
URLS = {  # the publishers give no checksums
    f"{SOURCE}/{SPEAKER}/video/{SPEAKER}.mpg_vcd.zip": Expected((100_000_000, 1_000_000_000)),
    f"{SOURCE}/{SPEAKER}/align/{SPEAKER}.tar": Expected((200_000, 10_000_000)),
}
HELD_OUT = 0.05  # of the clips, for valid and for test each
SILENCE = ("sil", "sp")


def find_clips(cache: Path, from_dir: Path | None) -> dict[str, tuple[Path, Path]]:
    """Return video and alignment of each clip by its name, from the user's folder or downloaded."""
    if from_dir is not None and not from_dir.is_dir():
        raise UserError(f"{from_dir} is not a folder: --from FOLDER has *.mpg and *.align of {SOURCE}")
    folder = from_dir or build_folder(cache / "grid" / SPEAKER, lambda partial: download(cache, partial))
    videos, alignments = (by_name(folder, ending) for ending in (".mpg", ".align"))
    if not videos:
        raise UserError(f"no *.mpg below {folder}: it needs the videos and *.align files of {SOURCE}")
    for name, path in videos.items():
        if name not in alignments:
            raise UserError(f"{path} has no {name}.align below {folder}: add it, or delete the video")
    return {name: (path.resolve(), alignments[name]) for name, path in videos.items()}


def download(cache: Path, folder: Path) -> None:
    """Download videos and alignments of the speaker and unpack them into ``folder``."""
    for url, expected in URLS.items():
        unpack(url_file(url, cache, expected), folder)


def by_name(folder: Path, ending: str) -> dict[str, Path]:
    """Return the files with this ending below ``folder``, by their names without it."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob(f"[!.]*{ending}")):
        if path.stem in found:
            raise UserError(f"{path} and {found[path.stem]} have one name: pass the folder of one speaker")
        found[path.stem] = path
    return found


def read_alignment(path: Path) -> str:
    """Return the words of an .align file (lines of start, end, word), without silence."""
    words = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        cells = line.split()
        if len(cells) != 3:
            raise UserError(f"{path}:{number}: expected start, end and word, got '{line}'")
        if cells[2] not in SILENCE:
            words.append(cells[2])
    if not words:
        raise UserError(f"{path} has no words; download it again, or delete it and its video")
    return " ".join(words)


def split_names(names: Sequence[str]) -> dict[str, list[str]]:
    """Return names by split, in the order of their sha256: the first for test, the next for valid, 5 % each."""
    ordered = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    held_out = max(1, round(HELD_OUT * len(ordered)))
    train, valid, test = ordered[2 * held_out :], ordered[held_out : 2 * held_out], ordered[:held_out]
    return {"train": train, "valid": valid, "test": test}


@recipe(
    directions=[("video", "en"), ("audio", "en")],
    source=SOURCE,
    license="for research; CC-BY-4.0 where the authors archived it",
    version=f"{SPEAKER}, at the URL",
    help={"box": "place of the mouth in a video, WIDTHxHEIGHT+X+Y in pixels; the default is speaker s1's"},
)
def prepare(request: Request, box: str = MOUTH) -> Corpus:
    """Find the videos, which stay where they are, and read their alignments."""
    clips = find_clips(request.cache, request.from_dir)
    mouth = box if request.src == "video" else ""
    splits = {
        split: [Item(name, clips[name][0], (read_alignment(clips[name][1]),), SPEAKER, box=mouth) for name in names]
        for split, names in split_names(list(clips)).items()
    }
    return Corpus(splits, {"options": {"box": mouth}})


if __name__ == "__main__":
    sys.exit(prepare.main())
