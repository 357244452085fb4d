"""Emoji: drawings of 32 by 32 pixels and their names, in English, Korean or German.

Each emoji is drawn by Google and by Twitter. Training has all of Google's drawings and most of Twitter's; a test
picture is one of Twitter's others: its name was seen in training, but in Google's style only.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from s2s_plugin.corpora import packages as fetch
from s2s_plugin.corpora import splits as corpus
from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import build_folder, file_sha256

DRAWINGS = "emoji-datasource@16.0.0"
NAMES = {
    "cldr-annotations-full@48.2.0": "annotations",
    "cldr-annotations-derived-full@48.2.0": "annotationsDerived",  # with skin tones, flags, families
}
SOURCE = "https://github.com/iamcal/emoji-data"
LANGUAGES = ("en", "ko", "de")
STYLES = ("google", "twitter")  # the sheets of Apple and Facebook are not free
HELD_OUT_STYLE = "twitter"
SIZE, PITCH = 32, 34  # pixels of a drawing, and from one to the next on a sheet: there is a pixel around each
VARIATION_SELECTOR = "\ufe0f"  # asks for a coloured drawing; most names are listed without it


class Emoji(NamedTuple):
    """One emoji; each skin tone is one of its own.

    Attributes:
        characters: without variation selectors.
        code: its code points, ``1f44b-1f3fb``.
        group: the code of the same emoji without a skin tone.
        corner: left and upper edge of its drawing on every sheet, pixels.
    """

    characters: str
    code: str
    group: str
    corner: tuple[int, int]


def find_package(spec: str, cache: Path, from_dir: Path | None) -> Path:
    """The folder of the npm package ``spec``, downloaded or in the user's folder."""
    if from_dir is None:
        return fetch.npm_package(spec, cache) / "package"
    folder = from_dir / spec.partition("@")[0]
    if not folder.is_dir():
        raise UserError(f"no folder {folder.name} in {from_dir}: unpack the npm package {spec} there under this name")
    return folder


def read_json(path: Path) -> Any:
    """The content of a JSON file of a package."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}; fetch the package again") from error


def read_emoji(drawings: Path) -> list[Emoji]:
    """All emoji that every style has a drawing of, in the order of the package."""
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
    """The name of each emoji, by its characters without variation selectors."""
    names: dict[str, str] = {}
    for package, kind in zip(packages, NAMES.values(), strict=True):
        entries = read_json(package / kind / language / "annotations.json")[kind]["annotations"]
        for characters, entry in entries.items():
            names[without_selectors(characters)] = corpus.clean_text(entry["tts"][0])  # "text to speech"
    return names


def without_selectors(characters: str) -> str:
    return characters.replace(VARIATION_SELECTOR, "")


def cut_sheet(sheet: Path, emoji: Sequence[Emoji], folder: Path) -> None:
    """Write the drawing of each emoji, on white, to ``folder/CODE.png``: RGB, 32 by 32 pixels."""
    try:
        with Image.open(sheet) as image:
            drawn = image.convert("RGBA")
    except OSError as error:
        raise UserError(f"cannot read {sheet}: {error}; fetch the package again") from error
    on_white = Image.alpha_composite(Image.new("RGBA", drawn.size, "white"), drawn).convert("RGB")
    for one in emoji:
        left, top = one.corner
        on_white.crop((left, top, left + SIZE, top + SIZE)).save(folder / f"{one.code}.png")


def pictures(style: str, drawings: Path, emoji: Sequence[Emoji], cache: Path) -> Path:
    """The absolute folder with the drawings of one style; the same packages share it."""
    sheet, index = drawings / "img" / style / "sheets" / f"{SIZE}.png", drawings / "emoji.json"
    if not sheet.is_file():
        raise UserError(f"no {sheet}; fetch the package again")
    version = f"{file_sha256(sheet)[:8]}-{file_sha256(index)[:8]}"
    folder = cache.resolve() / "emoji" / f"{style}-{version}"
    return build_folder(folder, lambda partial: cut_sheet(sheet, emoji, partial))


def items_of(style: str, emoji: Sequence[Emoji], names: dict[str, str], folder: Path) -> Iterator[tuple[str, Item]]:
    """``(group, item)`` for each named emoji; drawings that several emoji share have no one name and are left out."""
    drawn = {one.code: (folder / f"{one.code}.png").read_bytes() for one in emoji}
    times = Counter(drawn.values())
    for one in emoji:
        name = names.get(one.characters)
        if name and times[drawn[one.code]] == 1:
            yield one.group, Item(f"{style}-{one.code}", folder / f"{one.code}.png", (name,))


def prepare(
    out: Path,
    src: str,
    tgt: str,
    cache: Path,
    from_dir: Path | None = None,
    valid: float = 0.06,
    test: float = 0.14,
) -> Path:
    """Write the manifests to ``out`` and return it; the pictures lie below ``cache``.

    ``valid``, ``test``: share of emoji whose Twitter drawings go there.

    Raises:
        UserError: an option is wrong, or the packages cannot be had.
    """
    if src != "image" or tgt not in LANGUAGES:
        raise UserError(f"emoji is for --src image and --tgt {', '.join(LANGUAGES)}, got --src {src} --tgt {tgt}")
    corpus.check_shares(valid, test, both_needed=True)
    cache, folder = Path(cache), from_dir and Path(from_dir)
    drawings, *named = (find_package(spec, cache, folder) for spec in (DRAWINGS, *NAMES))
    emoji, names = read_emoji(drawings), read_names(named, tgt)
    splits: dict[str, list[Item]] = {name: [] for name in corpus.SPLITS}
    for style in STYLES:
        for group, item in items_of(style, emoji, names, pictures(style, drawings, emoji, cache)):
            split = corpus.split_name(group, valid, test) if style == HELD_OUT_STYLE else "train"
            splits[split].append(item)
    versions = [read_json(package / "package.json")["version"] for package in (drawings, *named)]
    meta = {
        "name": "emoji",
        "source": SOURCE,
        "version": f"emoji-datasource {versions[0]}, CLDR {versions[1]}",
        "licence": "drawings: Apache-2.0 (Google), CC-BY-4.0 (Twitter); names: Unicode-3.0",
        "languages": [src, tgt],
        "options": {"valid": valid, "test": test},
    }
    return corpus.write_manifests(out, src, splits, meta)


def main(argv: Sequence[str] | None = None) -> int:
    parser = corpus.recipe_parser(__doc__, src="image", tgt="en")
    corpus.add_shares(parser, "emoji", valid=0.06, test=0.14)
    return corpus.run_recipe(prepare, parser, argv)


if __name__ == "__main__":
    sys.exit(main())
