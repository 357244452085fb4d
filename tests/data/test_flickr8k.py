"""Flickr8k: on its sample, and on a folder in its official format."""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from recipes import ANY_CONTENT, read_splits, sample

from s2s_plugin.corpora.recipe import load_recipe
from s2s_plugin.corpora.splits import SPLITS
from s2s_plugin.errors import UserError

flickr8k = load_recipe("flickr8k")
read = functools.partial(read_splits, "flickr8k", "image")


CAPTION = "A dog in a T-shirt , running after {} ."
LISTED = {"train": ["a1.jpg", "b2.jpg"], "valid": ["c3.jpg"], "test": ["d4.jpg"]}


def write_flickr8k(folder: Path) -> Path:
    """A folder as the two archives leave it: with a picture in no list, and an entry whose picture never existed."""
    text, pictures = folder / "Flickr8k_text", folder / "Flicker8k_Dataset"
    text.mkdir(parents=True)
    pictures.mkdir()
    names = [name for listed in LISTED.values() for name in listed]
    for name in (*names, "e5.jpg"):
        Image.new("RGB", (20, 10), "green").save(pictures / name)
    lines = [f"{name}#{i}\t{CAPTION.format(i)}\n" for name in (*names, "e5.jpg", "f6.jpg.1") for i in range(5)]
    (text / "Flickr8k.token.txt").write_text("".join(lines))
    for split, listed in LISTED.items():
        (text / flickr8k.LISTS[split]).write_text("\n".join(listed) + "\n")
    return folder


def test_flickr8k_is_the_official_split_with_five_references(tmp_path: Path):
    folder = write_flickr8k(tmp_path / "source")
    out = flickr8k.prepare(tmp_path / "out", "image", "en", tmp_path, from_dir=folder)
    splits = read(out)
    assert {split: [item.path.name for item in items] for split, items in splits.items()} == LISTED
    plain = tuple(f"a dog in a tshirt running after {i}" for i in range(5))
    assert all(item.texts == plain for items in splits.values() for item in items)
    assert json.loads((out / "manifest.json").read_text())["split"] == "official"
    written = read(flickr8k.prepare(out, "image", "en", tmp_path, from_dir=folder, as_written=True))
    assert written["test"][0].texts == tuple(CAPTION.format(i) for i in range(5))


def test_flickr8k_sample(tmp_path: Path):
    folder = sample("flickr8k")
    out = flickr8k.prepare(tmp_path / "out", "image", "en", tmp_path, from_dir=folder)
    splits = read(out)
    items = [item for split in SPLITS for item in splits[split]]
    assert len(items) == len({item.path for item in items}) == 60
    assert all(len(item.texts) == 5 for item in items)
    assert json.loads((out / "manifest.json").read_text())["split"] == "by hash"
    texts = {item.path.name: item.texts for item in items}
    assert texts["2282600972_c22d1e03c7.jpg"][:2] == ("skiiers on a snowy mountain", "skiiers on top of a mountain")
    assert read(flickr8k.prepare(tmp_path / "again", "image", "en", tmp_path, from_dir=folder)) == splits


def test_flickr8k_is_fetched_once(home: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(flickr8k, "URL", f"{home[1]}/{{}}")
    monkeypatch.setattr(flickr8k, "ARCHIVES", dict.fromkeys(flickr8k.ARCHIVES, ANY_CONTENT))
    source = write_flickr8k(tmp_path / "source")
    shutil.make_archive(str(home[0] / "Flickr8k_text"), "zip", source / "Flickr8k_text")  # its files at the top
    shutil.make_archive(str(home[0] / "Flickr8k_Dataset"), "zip", source, "Flicker8k_Dataset")
    first = read(flickr8k.prepare(tmp_path / "a", "image", "en", tmp_path / "cache"))
    assert {split: [item.path.name for item in items] for split, items in first.items()} == LISTED
    shutil.rmtree(home[0])
    shutil.rmtree(tmp_path / "cache" / "url")  # the archives; what was in them stays
    assert read(flickr8k.prepare(tmp_path / "b", "image", "en", tmp_path / "cache")) == first


def test_flickr8k_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture):
    source = write_flickr8k(tmp_path / "source")

    def refused(message: str, **change: object) -> None:
        options = {"src": "image", "tgt": "en", "cache": tmp_path, "from_dir": source, **change}
        with pytest.raises(UserError, match=message):
            flickr8k.prepare(tmp_path / "out", **options)

    refused("--src en", src="en")
    refused("--tgt de", tgt="de")
    refused(r"no captions in .* Flickr8k\.token\.txt or captions\.tsv", from_dir=tmp_path / "nothing")
    (source / "Flicker8k_Dataset/c3.jpg").unlink()
    refused(r"no picture .* 1 of the files, first c3\.jpg")
    (source / "Flickr8k_text/Flickr_8k.devImages.txt").write_text("e5.jpg\ng7.jpg\n")
    Image.new("RGB", (20, 10)).save(source / "g7.jpg")
    refused(r"no caption .* 1 of the files, first g7\.jpg")
    (source / "Flickr8k_text/Flickr_8k.devImages.txt").unlink()
    refused(r"no Flickr_8k\.devImages\.txt")
    (source / "Flickr8k_text/Flickr_8k.devImages.txt").write_text("\n")
    refused("the valid split is empty")
    with (source / "Flickr8k_text/Flickr8k.token.txt").open("a") as file:
        file.write("h8.jpg#0 without a tab\n")
    refused(r"Flickr8k\.token\.txt:31: expected 2 columns, got 1")
    (source / "Flickr8k_text/Flickr8k.token.txt").write_bytes(b"i9.jpg#0\tcaf\xe9\n")
    refused(r"Flickr8k\.token\.txt: byte 13 is not UTF-8")
    assert flickr8k.prepare.main(["--out", str(tmp_path / "out"), "--from", str(source)]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert not (tmp_path / "out").exists()
