"""MIRACL-VC1, cropped to the mouth: 15 speakers who say ten words and ten phrases, ten times each.

Requires a folder ``<speaker>/{words,phrases}/<01-10>/<01-10>/color_*.jpg``: class, take, frames. An item is the folder
of a take.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from s2s_plugin.corpora.recipe import Corpus, Request, recipe
from s2s_plugin.corpora.splits import collect
from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError

SOURCE = "https://sites.google.com/site/achrafbenhamadou/-datasets/miracl-vc1"
LAYOUT = "<speaker>/{words,phrases}/<01-10>/<01-10>/color_*.jpg"
TEXTS = {
    "words": (
        "begin", "choose", "connection", "navigation", "next", "previous", "start", "stop", "hello", "web",
    ),
    "phrases": (
        "stop navigation", "excuse me", "I am sorry", "thank you", "good bye", "I love this game",
        "nice to meet you", "you are welcome", "how are you", "have a good time",
    ),
}  # fmt: skip
KINDS = {"words": ("words",), "phrases": ("phrases",), "both": ("words", "phrases")}
HELD_OUT = 2  # speakers, for valid and for test each


def read_items(root: Path, kinds: Sequence[str]) -> list[Item]:
    """Return the takes of these kinds below ``root``, in the order of their paths."""
    items = []
    for take in sorted(path for kind in kinds for path in root.glob(f"*/{kind}/*/*") if path.is_dir()):
        speaker, kind, label, number = take.relative_to(root).parts
        if not label.isdigit() or not 1 <= int(label) <= len(TEXTS[kind]):
            raise UserError(f"{take.parent}: no such class: the {kind} are 01 to {len(TEXTS[kind])}")
        if not any(take.glob("color_*.jpg")):
            raise UserError(f"{take} has no color_*.jpg: add the frames, or delete the folder")
        items.append(Item(f"{speaker}_{kind}_{label}_{number}", take, (TEXTS[kind][int(label) - 1],), speaker))
    if not items:
        raise UserError(f"no {' or '.join(kinds)} in {root}: expected {LAYOUT}")
    return items


def split_by_speaker(items: Sequence[Item]) -> dict[str, list[Item]]:
    """Split by the speakers' names: the last two to test, the two before to valid; one each with fewer than six."""
    speakers = sorted({item.speaker for item in items})
    held_out = min(HELD_OUT, len(speakers) // 3)
    if not held_out:
        raise UserError(f"each split needs a speaker of its own: expected at least three, got {', '.join(speakers)}")
    test, valid = set(speakers[-held_out:]), set(speakers[-2 * held_out : -held_out])
    return collect(
        ("test" if item.speaker in test else "valid" if item.speaker in valid else "train", item) for item in items
    )


@recipe(
    directions=[("video", "en")],
    source=SOURCE,
    license="for research",
    help={"kind": "spoken text: words, phrases or both"},
    choices={"kind": KINDS},
)
def prepare(request: Request, kind: str = "words") -> Corpus:
    """Find the takes, which stay where they are, and split them by speaker."""
    if request.from_dir is None:
        raise UserError(f"miracl has no public download of the mouths: crop {SOURCE} and pass it with --from FOLDER")
    folder = request.from_dir.resolve()
    root = folder / "cropped" if (folder / "cropped").is_dir() else folder
    return Corpus(split_by_speaker(read_items(root, KINDS[kind])))


if __name__ == "__main__":
    sys.exit(prepare.main())
