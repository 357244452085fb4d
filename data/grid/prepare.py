"""GRID: speaker s1 of the audio-visual sentence corpus, 1,000 sentences of six words ("bin blue at f two now").

The source is the video, or the sound track of the same files.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from s2s_plugin.corpora import packages as fetch
from s2s_plugin.corpora import splits as corpus
from s2s_plugin.corpora.archive import unpack
from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import build_folder

SPEAKER = "s1"
MOUTH = "110x55+105+178"  # where the speaker's mouth is in all clips
SOURCE = "https://spandh.dcs.shef.ac.uk/gridcorpus"
URLS = (f"{SOURCE}/{SPEAKER}/video/{SPEAKER}.mpg_vcd.zip", f"{SOURCE}/{SPEAKER}/align/{SPEAKER}.tar")
HELD_OUT = 0.05  # of the clips, for valid and for test each
SILENCE = ("sil", "sp")


def find_clips(cache: Path, from_dir: Path | None) -> dict[str, tuple[Path, Path]]:
    """Video and alignment of each clip by its name, from the user's folder or the corpus's home."""
    if from_dir is not None and not from_dir.is_dir():
        raise UserError(f"{from_dir} is not a folder: --from FOLDER has *.mpg and *.align of {SOURCE}")
    folder = from_dir or build_folder(cache / "grid" / SPEAKER, lambda partial: download(cache, partial))
    videos, alignments = (by_name(folder, ending) for ending in (".mpg", ".align"))
    if not videos:
        raise UserError(f"no *.mpg below {folder}: it needs the videos and *.align files of {SOURCE}")
    for name, path in videos.items():
        if name not in alignments:
            raise UserError(f"{path} has no {name}.align below {folder}: add it, or take the video away")
    return {name: (path.resolve(), alignments[name]) for name, path in videos.items()}


def download(cache: Path, folder: Path) -> None:
    """Videos and alignments of the speaker, unpacked into ``folder``."""
    for url in URLS:
        unpack(fetch.url_file(url, cache), folder)


def by_name(folder: Path, ending: str) -> dict[str, Path]:
    """The files with this ending, anywhere below ``folder``, by their names without it."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob(f"[!.]*{ending}")):
        if path.stem in found:
            raise UserError(f"{path} and {found[path.stem]} have one name: give the folder of one speaker")
        found[path.stem] = path
    return found


def read_alignment(path: Path) -> str:
    """The words of an .align file (lines of start, end, word), without silence."""
    words = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}; fetch it again") from None
    for number, line in enumerate(lines, start=1):
        cells = line.split()
        if len(cells) != 3:
            raise UserError(f"{path}, line {number}: expected start, end and word, got '{line}'")
        if cells[2] not in SILENCE:
            words.append(cells[2])
    if not words:
        raise UserError(f"{path} has no words; fetch it again, or take it and its video away")
    return " ".join(words)


def split_names(names: Sequence[str]) -> dict[str, list[str]]:
    """Names by split, in the order of their sha256: the first for test, the next for valid, 5 % each."""
    ordered = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    held_out = max(1, round(HELD_OUT * len(ordered)))
    return {
        "train": ordered[2 * held_out :],
        "valid": ordered[held_out : 2 * held_out],
        "test": ordered[:held_out],
    }


def prepare(out: Path, src: str, tgt: str, cache: Path, from_dir: Path | None = None, box: str = MOUTH) -> Path:
    """Write the manifests to ``out`` and return it; ``src`` is ``video`` or ``audio``, ``tgt`` is ``en``.

    ``box``: the mouth's place, WIDTHxHEIGHT+X+Y in pixels; that of another speaker is another.

    Raises:
        UserError: another source or language, or the files cannot be had or read.
    """
    if src not in ("video", "audio") or tgt != "en":
        raise UserError(f"grid goes from video or audio to en, got --src {src} --tgt {tgt}")
    clips = find_clips(Path(cache), from_dir and Path(from_dir))
    mouth = box if src == "video" else ""
    splits = {
        split: [Item(name, clips[name][0], (read_alignment(clips[name][1]),), SPEAKER, box=mouth) for name in names]
        for split, names in split_names(list(clips)).items()
    }
    meta = {
        "name": "grid",
        "source": SOURCE,
        "version": "from folder" if from_dir else f"{SPEAKER}, at the URL",
        "licence": "for research; CC-BY-4.0 where the authors archived it",
        "languages": [src, tgt],
        "options": {"box": mouth},
    }
    return corpus.write_manifests(out, src, splits, meta)


def main(argv: Sequence[str] | None = None) -> int:
    return corpus.run_recipe(prepare, corpus.recipe_parser(__doc__, src="video", tgt="en"), argv)


if __name__ == "__main__":
    sys.exit(main())
