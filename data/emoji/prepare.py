"""Emoji: drawings of 32 by 32 pixels and their names, in English, Korean or German.

Each emoji is drawn by Google and by Twitter. Training has all of Google's drawings and most of Twitter's; test images
are others of Twitter's, whose names occur in training in Google's style only.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from s2s_plugin.corpora.cleaning import clean_text
from s2s_plugin.corpora.fetching.download import Expected
from s2s_plugin.corpora.fetching.packages import npm_package
from s2s_plugin.corpora.recipe import Corpus, Request, recipe
from s2s_plugin.corpora.splits import collect, split_name
from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import build_folder, file_sha256

DRAWINGS = "emoji-datasource@16.0.0"
NAMES = {
    "cldr-annotations-full@48.2.0": "annotations",
    "cldr-annotations-derived-full@48.2.0": "annotationsDerived",  # with skin tones, flags, families
}
EXPECTED = {
    "emoji-datasource@16.0.0": Expected(25_187_342, "2006725061dc0098daa832d65f854a7bec0740af2eb47cb5b23d89f7e2c849f9"),
    "cldr-annotations-full@48.2.0": Expected(
        6_537_823, "28576e51225deb51e3ddd734b0f824a0079682cb5d8c27faa9f68149317a14d1"
    ),
    "cldr-annotations-derived-full@48.2.0": Expected(
        4_233_628, "4be946ff5815f806ec78b50363d577a769f2fbfb90c6380a44e161a92436996e"
    ),
}
SOURCE = "https://github.com/iamcal/emoji-data"
STYLES = ("google", "twitter")  # the sheets of Apple and Facebook are not free
HELD_OUT_STYLE = "twitter"
SIZE, PITCH = 32, 34  # of a drawing, and from one to the next on a sheet, in pixels
VARIATION_SELECTOR = "\ufe0f"  # requests a color drawing; most names are listed without it


class Emoji(NamedTuple):
    """One emoji; skin tones count separately."""

    characters: str  # without variation selectors
    code: str  # its code points, ``1f44b-1f3fb``
    group: str  # the code of the same emoji without a skin tone
    corner: tuple[int, int]  # left and upper edge of its drawing on every sheet, pixels


def find_package(spec: str, cache: Path, from_dir: Path | None) -> Path:
    """Return the folder of the npm package ``spec``, downloaded or in the user's folder."""
    if from_dir is None:
        return npm_package(spec, cache, EXPECTED[spec]) / "package"
    folder = from_dir / spec.partition("@")[0]
    if not folder.is_dir():
        raise UserError(f"no folder {folder.name} in {from_dir}: unpack the npm package {spec} there under this name")
    return folder


def read_json(path: Path) -> Any:
    """Return the content of a JSON file of a package."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}; download the package again") from error


def read_emoji(drawings: Path) -> list[Emoji]:
    """Return the emoji that every style has a drawing of, in the order of the package."""
    found = []
    for base in read_json(drawings / "emoji.json"):
        for entry in (base, *base.get("skin_variations", {}).values()):
            if all(entry[f"has_img_{style}"] for style in STYLES):  # else the sheet shows Apple's
                code = entry["unified"].lower()
                characters = "".join(chr(int(point, 16)) for point in code.split("-"))
                corner = entry["sheet_x"] * PITCH + 1, entry["sheet_y"] * PITCH + 1
                found.append(Emoji(without_selectors(characters), code, base["unified"].lower(), corner))
    return found


def read_names(packages: Sequence[Path], language: str) -> dict[str, str]:
    """Return the name of each emoji, by its characters without variation selectors."""
    names: dict[str, str] = {}
    for package, kind in zip(packages, NAMES.values(), strict=True):
        entries = read_json(package / kind / language / "annotations.json")[kind]["annotations"]
        for characters, entry in entries.items():
            names[without_selectors(characters)] = clean_text(entry["tts"][0])  # "text to speech"
    return names


def without_selectors(characters: str) -> str:
    """Return the characters without variation selectors."""
    return characters.replace(VARIATION_SELECTOR, "")


def cut_sheet(sheet: Path, emoji: Sequence[Emoji], folder: Path) -> None:
    """Write the drawing of each emoji, on white, to ``folder/CODE.png``: RGB, 32 by 32 pixels."""
    try:
        with Image.open(sheet) as image:
            drawn = image.convert("RGBA")
    except OSError as error:
        raise UserError(f"cannot read {sheet}: {error}; download the package again") from error
    on_white = Image.alpha_composite(Image.new("RGBA", drawn.size, "white"), drawn).convert("RGB")
    for one in emoji:
        left, top = one.corner
        on_white.crop((left, top, left + SIZE, top + SIZE)).save(folder / f"{one.code}.png")


def pictures(style: str, drawings: Path, emoji: Sequence[Emoji], cache: Path) -> Path:
    """Return the absolute folder with the drawings of one style, named after the packages' content."""
    sheet, index = drawings / "img" / style / "sheets" / f"{SIZE}.png", drawings / "emoji.json"
    if not sheet.is_file():
        raise UserError(f"no {sheet}; download the package again")
    version = f"{file_sha256(sheet)[:8]}-{file_sha256(index)[:8]}"
    folder = cache.resolve() / "emoji" / f"{style}-{version}"
    return build_folder(folder, lambda partial: cut_sheet(sheet, emoji, partial))


def named_items(style: str, emoji: Sequence[Emoji], names: dict[str, str], folder: Path) -> Iterator[tuple[str, Item]]:
    """Yield ``(group, item)`` for each named emoji, without drawings that several emoji share."""
    drawn = {one.code: (folder / f"{one.code}.png").read_bytes() for one in emoji}
    times = Counter(drawn.values())
    for one in emoji:
        name = names.get(one.characters)
        if name and times[drawn[one.code]] == 1:
            yield one.group, Item(f"{style}-{one.code}", folder / f"{one.code}.png", (name,))


@recipe(
    directions=[("image", lang) for lang in ("en", "ko", "de")],
    source=SOURCE,
    license="drawings: Apache-2.0 (Google), CC-BY-4.0 (Twitter); names: Unicode-3.0",
    fraction_of="emoji, of Twitter's drawings",
)
def prepare(request: Request, valid: float = 0.06, test: float = 0.14) -> Corpus:
    """Cut the drawings out of the sheets, to files below the cache, and split Twitter's by emoji."""
    cache = request.cache
    drawings, *named = (find_package(spec, cache, request.from_dir) for spec in (DRAWINGS, *NAMES))
    emoji, names = read_emoji(drawings), read_names(named, request.tgt)
    splits = collect(
        (split_name(group, valid, test) if style == HELD_OUT_STYLE else "train", item)
        for style in STYLES
        for group, item in named_items(style, emoji, names, pictures(style, drawings, emoji, cache))
    )
    versions = [read_json(package / "package.json")["version"] for package in (drawings, *named)]
    return Corpus(splits, {"version": f"emoji-datasource {versions[0]}, CLDR {versions[1]}"})


if __name__ == "__main__":
    sys.exit(prepare.main())
