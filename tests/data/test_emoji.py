"""The emoji: on a small sheet, and the real packages."""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from recipes import read_splits

from s2s_plugin.corpora.recipe import load_recipe
from s2s_plugin.errors import UserError

emoji = load_recipe("emoji")
read = functools.partial(read_splits, "emoji", "image")


KNOWN = {  # code -> its names in CLDR
    "1f44b": {"en": "waving hand", "ko": "흔드는 손", "de": "winkende Hand"},
    "1f44b-1f3ff": {
        "en": "waving hand: dark skin tone",
        "ko": "흔드는 손: 검은색 피부",
        "de": "winkende Hand: dunkle Hautfarbe",
    },
    "2764-fe0f": {"en": "red heart", "ko": "빨간색 하트", "de": "rotes Herz"},
    "1f1f0-1f1f7": {"en": "flag: South Korea", "ko": "깃발: 대한민국", "de": "Flagge: Südkorea"},
    "1f201": {"en": 'Japanese "here" button', "ko": '일본어 "여기" 버튼', "de": 'Schriftzeichen "koko"'},
}
COLUMNS = 12
TONES = range(0x1F3FB, 0x1F400)


def write_package(folder: Path, version: str) -> Path:
    folder.mkdir()
    (folder / "package.json").write_text(json.dumps({"version": version}))
    return folder


def write_names(modules: Path) -> None:
    """Two packages in CLDR's format; flags and skin tones are derived, as there."""
    for package, kind in (
        ("cldr-annotations-full", "annotations"),
        ("cldr-annotations-derived-full", "annotationsDerived"),
    ):
        folder = write_package(modules / package, "48.2.0") / kind
        for language in ("en", "ko", "de"):
            named = {code: names[language].replace('"', "“") for code, names in KNOWN.items()}
            named |= {f"{point:x}": f"{language} {point}" for point in range(0x1F400, 0x1F440)}
            named |= {f"1f44b-{tone:x}": named["1f44b"] + f" {tone}" for tone in TONES if tone != 0x1F3FF}
            derived = {code for code in named if code.startswith(("1f44b-", "1f1f0-"))}
            kept = derived if kind == "annotationsDerived" else named.keys() - derived
            entries = {
                "".join(chr(int(point, 16)) for point in code.removesuffix("-fe0f").split("-")): {"tts": [named[code]]}
                for code in kept
            }
            (folder / language).mkdir(parents=True)
            (folder / language / "annotations.json").write_text(json.dumps({kind: {"annotations": entries}}))


def color(style: str, number: int) -> tuple[int, int, int]:
    return (number, 200 if style == "google" else 100, 50)


def write_drawings(modules: Path) -> None:
    """One plain color for each emoji and style, the upper left quarter transparent, a magenta pixel around it.

    Two emoji share their Twitter drawing, one has no drawing of Twitter's, one has no name.
    """
    codes = ["1f44b", "2764-fe0f", "1f1f0-1f1f7", "1f201", *(f"{point:x}" for point in range(0x1F400, 0x1F441))]
    entries, sheets = [], {style: Image.new("RGBA", (COLUMNS * 34,) * 2, "magenta") for style in emoji.STYLES}
    number = 0

    def entry(code: str) -> dict:
        nonlocal number
        x, y = divmod(number, COLUMNS)
        for style, sheet in sheets.items():
            shared = code == "1f401" and style == "twitter"
            tile = Image.new("RGBA", (32, 32), color(style, number - 1 if shared else number))
            tile.paste((0, 0, 0, 0), (0, 0, 16, 16))
            sheet.paste(tile, (x * 34 + 1, y * 34 + 1))
        number += 1
        drawn = {"has_img_google": True, "has_img_twitter": code != "1f43f"}
        return {"unified": code.upper(), "sheet_x": x, "sheet_y": y, **drawn}

    for code in codes:
        entries.append(entry(code))
        if code == "1f44b":
            entries[-1]["skin_variations"] = {f"{tone:X}": entry(f"{code}-{tone:x}") for tone in TONES}
    folder = write_package(modules / "emoji-datasource", "16.0.0")
    (folder / "emoji.json").write_text(json.dumps(entries))
    for style, sheet in sheets.items():
        (folder / "img" / style / "sheets").mkdir(parents=True)
        sheet.save(folder / "img" / style / "sheets" / "32.png")


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three packages as npm installs them, with few emoji."""
    folder = tmp_path_factory.mktemp("node_modules")
    write_names(folder)
    write_drawings(folder)
    return folder


def test_emoji_split_holds_out_drawings_not_names(modules: Path, tmp_path: Path):
    options = {"cache": tmp_path / "cache", "from_dir": modules, "valid": 0.2, "test": 0.2}
    splits = read(emoji.prepare(tmp_path / "en", "image", "en", **options))
    held_out = {item.id for split in ("valid", "test") for item in splits[split]}
    assert all(name.startswith("twitter-") for name in held_out)
    trained = {item.id for item in splits["train"]}
    assert not trained & held_out
    assert {name.replace("twitter", "google") for name in held_out} <= trained
    hands = {split for split, items in splits.items() for item in items if item.id.startswith("twitter-1f44b")}
    assert len(hands) == 1  # a skin tone tells what the others are
    again = emoji.prepare(tmp_path / "again", "image", "en", **{**options, "cache": tmp_path / "other"})
    turned = emoji.prepare(tmp_path / "ko", "image", "ko", **options)
    for other in (read(again), read(turned)):
        assert {s: [item.id for item in items] for s, items in other.items()} == {
            s: [item.id for item in items] for s, items in splits.items()
        }


@pytest.mark.parametrize("language", ("en", "ko", "de"))
def test_emoji_names(modules: Path, tmp_path: Path, language: str):
    splits = read(emoji.prepare(tmp_path / "out", "image", language, tmp_path, modules, valid=0.2, test=0.2))
    texts = {item.id: item.texts for items in splits.values() for item in items}
    for code, names in KNOWN.items():
        assert texts[f"google-{code}"] == texts[f"twitter-{code}"] == (names[language],)


def test_emoji_left_out(modules: Path, tmp_path: Path):
    splits = read(emoji.prepare(tmp_path / "out", "image", "en", tmp_path, modules, valid=0.2, test=0.2))
    ids = {item.id for items in splits.values() for item in items}
    assert {"google-1f400", "google-1f401"} <= ids
    assert not {"twitter-1f400", "twitter-1f401"} & ids, "one drawing, two names"
    assert not {"google-1f43f", "twitter-1f43f"} & ids, "Twitter has no drawing of it: the sheet shows another's"
    assert not {"google-1f440", "twitter-1f440"} & ids, "it has no name"


def test_emoji_drawings_are_cut_exactly_and_laid_on_white(modules: Path, tmp_path: Path):
    splits = read(emoji.prepare(tmp_path / "out", "image", "en", tmp_path, modules, valid=0.2, test=0.2))
    paths = {item.id: item.path for items in splits.values() for item in items}
    for style in emoji.STYLES:
        with Image.open(paths[f"{style}-1f44b-1f3ff"]) as image:
            assert (image.mode, image.size) == ("RGB", (32, 32))
            counts = {pixel: count for count, pixel in image.getcolors()}
            assert counts == {color(style, 5): 32 * 32 - 16 * 16, (255, 255, 255): 16 * 16}
            assert image.getpixel((0, 0)) == (255, 255, 255)


def test_emoji_command_line(modules: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    out = tmp_path / "out"
    command = ["--out", str(out), "--cache", str(tmp_path / "cache"), "--from", str(modules), "--tgt", "de"]
    assert emoji.prepare.main([*command, "--valid", "0.2", "--test", "0.2"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed == [f"{out / split}.tsv: {len(items)} items" for split, items in read(out).items()]


def test_emoji_mistakes_are_one_line(modules: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    bad = [
        ({"src": "en"}, "--src en"),
        ({"tgt": "fr"}, "--tgt fr"),
        ({"valid": 0.0}, "valid and test .* 0.0"),
        ({"test": 0.99}, "valid and test .* 0.99"),
        ({"from_dir": tmp_path}, r"no folder emoji-datasource .* emoji-datasource@16\.0\.0"),
    ]
    for change, message in bad:
        options = {"src": "image", "tgt": "en", "cache": tmp_path, "from_dir": modules, **change}
        with pytest.raises(UserError, match=message):
            emoji.prepare(tmp_path / "out", **options)
    broken = tmp_path / "broken"
    shutil.copytree(modules, broken)
    (broken / "emoji-datasource/img/twitter/sheets/32.png").write_bytes(b"no picture")
    command = ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"), "--from", str(broken)]
    assert emoji.prepare.main(command) == 2
    assert capsys.readouterr().err.startswith("error: cannot read")
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "cache").glob("emoji/twitter*")), "a half-made folder of pictures stays"


@pytest.mark.slow
def test_emoji_of_the_real_packages(tmp_path: Path):
    for language in ("en", "ko", "de"):
        splits = read(emoji.prepare(tmp_path / language, "image", language, tmp_path / "cache"))
        assert {split: len(items) for split, items in splits.items()} == {"train": 6818, "valid": 210, "test": 468}
        texts = {item.id: item.texts for items in splits.values() for item in items}
        for code, names in KNOWN.items():
            assert texts[f"google-{code}"] == texts[f"twitter-{code}"] == (names[language],)
