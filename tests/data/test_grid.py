"""GRID, on its sample."""

from __future__ import annotations

import functools
import shutil
import tarfile
import zipfile
from pathlib import Path

import av
import pytest
from grid_grammar import SENTENCE, code, decode
from recipes import ANY_CONTENT, read_splits, sample

from s2s_plugin.corpora.recipe import load_recipe
from s2s_plugin.corpora.splits import SPLITS
from s2s_plugin.errors import UserError

grid, lips = load_recipe("grid"), load_recipe("synthetic_lips")
read = functools.partial(read_splits, "grid")


@pytest.fixture
def grid_sample(tmp_path) -> Path:
    """A copy of the eight sample clips, videos and alignments apart."""
    clips = sample("grid")
    for ending in ("mpg", "align"):
        folder = tmp_path / "sample" / ending
        folder.mkdir(parents=True)
        for path in clips.glob(f"*.{ending}"):
            shutil.copy(path, folder)
            (folder / path.name).chmod(0o644)
    return tmp_path / "sample"


@pytest.mark.parametrize("source", ["video", "audio"])
def test_grid(grid_sample, source, tmp_path):
    splits = read(source, grid.prepare(tmp_path / "out", source, "en", tmp_path / "cache", grid_sample))
    assert [len(splits[split]) for split in SPLITS] == [6, 1, 1]
    for item in (item for items in splits.values() for item in items):
        assert SENTENCE.fullmatch(item.texts[0])
        assert code(item.texts[0]) == item.id
        assert item.speaker == "s1"
    assert decode(splits["test"][0].path).shape == (75, 288, 360)
    with av.open(str(splits["test"][0].path)) as container:
        assert container.streams.audio[0].duration > 0


def test_grid_split_has_the_sizes_of_the_corpus_and_ignores_order():
    names = [code(" ".join(lips.sentence(number))) for number in range(0, 64_000, 64)]
    splits = grid.split_names(names)
    assert [len(splits[split]) for split in SPLITS] == [900, 50, 50]
    assert sorted(name for split in splits.values() for name in split) == sorted(names)
    assert grid.split_names(names[::-1]) == splits


def test_grid_from_its_home(grid_sample, home, tmp_path, monkeypatch):
    """The two archives of a speaker, from a real web server on this machine."""
    folder, address = home
    with zipfile.ZipFile(folder / "s1.mpg_vcd.zip", "w") as archive:
        for path in (grid_sample / "mpg").iterdir():
            archive.write(path, f"s1/{path.name}")
    with tarfile.open(folder / "s1.tar", "w") as tar:
        tar.add(grid_sample / "align", "align")

    monkeypatch.setattr(grid, "URLS", dict.fromkeys([f"{address}/s1.mpg_vcd.zip", f"{address}/s1.tar"], ANY_CONTENT))
    fetched = read("video", grid.prepare(tmp_path / "a", "video", "en", tmp_path / "cache"))
    assert (tmp_path / "cache") in fetched["test"][0].path.parents
    given = read("video", grid.prepare(tmp_path / "b", "video", "en", tmp_path / "cache", grid_sample))
    assert [item.texts for item in fetched["train"]] == [item.texts for item in given["train"]]


def test_grid_mistakes_are_named(grid_sample, tmp_path):
    def problem(**changes: object) -> str:
        options = {"src": "video", "tgt": "en", "cache": tmp_path, "from_dir": grid_sample, **changes}
        with pytest.raises(UserError) as caught:
            grid.prepare(tmp_path / "out", **options)
        assert not (tmp_path / "out").exists()
        return str(caught.value)

    assert "--src text" in problem(src="text")
    assert "--tgt de" in problem(tgt="de")
    assert "no *.mpg" in problem(from_dir=grid_sample / "align")
    assert "is not a folder" in problem(from_dir=tmp_path / "missing")
    alignment = grid_sample / "align/bgbh7a.align"
    alignment.write_text("0 13250 sil\n13250 19250\n", encoding="utf-8")
    assert "bgbh7a.align:2" in problem()
    alignment.write_text("0 74500 sil\n", encoding="utf-8")
    assert "bgbh7a.align has no words" in problem()
    alignment.unlink()
    assert "bgbh7a.mpg has no bgbh7a.align" in problem()
    (grid_sample / "s2").mkdir()
    shutil.copy(grid_sample / "mpg/bgbh7a.mpg", grid_sample / "s2")
    assert "pass the folder of one speaker" in problem()
