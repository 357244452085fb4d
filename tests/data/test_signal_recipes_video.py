"""The recipes of videos: synthetic lips, really drawn and decoded again; GRID and MIRACL-VC1 on their samples."""

from __future__ import annotations

import functools
import http.server
import importlib
import importlib.util
import json
import re
import shutil
import tarfile
import threading
import zipfile
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
from command_line import ROOT, SHARED

from s2s_plugin.datasets.manifest import Item, read_manifest
from s2s_plugin.errors import UserError

SPLITS = ("train", "valid", "test")
SENTENCE = re.compile(
    "(bin|lay|place|set) (blue|green|red|white) (at|by|in|with) ([a-vx-z]) "
    "(zero|one|two|three|four|five|six|seven|eight|nine) (again|now|please|soon)"
)
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def recipe(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"recipe_{name}", ROOT / "data" / name / "prepare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


lips, grid, miracl = recipe("synthetic_lips"), recipe("grid"), recipe("miracl")


def read(out: Path, expected: str = "video") -> dict[str, list[Item]]:
    """The items of each split; paths are absolute and there, no id is in two splits."""
    files = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["files"]
    splits = {}
    for split in SPLITS:
        modality, splits[split] = read_manifest(out / f"{split}.tsv")
        assert modality == expected
        assert len(splits[split]) == files[f"{split}.tsv"]["items"]
        assert all(item.path.is_absolute() and item.path.exists() for item in splits[split])
    ids = [item.id for items in splits.values() for item in items]
    assert len(set(ids)) == len(ids)
    return splits


def decode(path: Path) -> np.ndarray:
    """Grey frames of a video, ``[T, H, W]``."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="gray") for frame in container.decode(video=0)])


def code(text: str) -> str:
    """GRID's code of a sentence."""
    *words, digit, adverb = text.split()
    return "".join(word[0] for word in words) + str(DIGITS.index(digit) or "z") + adverb[0]


# --- synthetic lips ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """A corpus of six clips."""
    folder = tmp_path_factory.mktemp("lips")
    return lips.prepare(folder / "out", "video", "en", folder / "cache", clips=6, speakers=3, unseen=1)


@pytest.fixture
def module(monkeypatch):
    """The modules beside the recipe, which its program imports by name."""
    monkeypatch.syspath_prepend(ROOT / "data/synthetic_lips")
    return importlib.import_module


def test_lips_are_videos_of_moving_mouths(drawn):
    for item in (item for items in read(drawn).values() for item in items):
        with av.open(str(item.path)) as container:
            assert container.streams.video[0].average_rate == 25
        frames = decode(item.path).astype(float)
        assert frames.shape == (75, 64, 64)
        at_rest = np.abs(frames[1] - frames[0]).mean()  # noise
        moved = np.abs(frames - frames[0]).mean(axis=(1, 2)).max()
        assert moved > 3 * at_rest
        assert item.box == ""


def test_lips_say_what_the_manifest_says(drawn):
    items = [item for items in read(drawn).values() for item in items]
    assert len({item.texts for item in items}) == 6
    for item in items:
        assert SENTENCE.fullmatch(item.texts[0])
        assert item.id == f"{item.speaker}_{code(item.texts[0])}"


def test_lips_are_the_same_twice(drawn, tmp_path):
    options = {"clips": 6, "speakers": 3, "unseen": 1}
    again = lips.prepare(tmp_path / "out", "video", "en", tmp_path / "cache", **options)
    first, second = read(drawn), read(again)
    for split in SPLITS:
        for one, two in zip(first[split], second[split], strict=True):
            assert one._replace(path=two.path) == two
            assert one.path.read_bytes() == two.path.read_bytes()
    other = lips.prepare(tmp_path / "other", "video", "en", tmp_path / "cache", seed=2, **options)
    assert {item.id for item in read(other)["train"]} != {item.id for item in first["train"]}


def test_lips_do_not_depend_on_the_number_of_processes(tmp_path, monkeypatch):
    planned = lips.plan(5, 3, 1, seed=1)
    monkeypatch.setattr(lips, "BATCH", 2)
    videos = []
    for cores in (1, 3):
        folder = tmp_path / str(cores)
        folder.mkdir()
        monkeypatch.setattr(lips.os, "sched_getaffinity", lambda process, cores=cores: set(range(cores)))
        lips.render(planned, 1, folder)
        videos.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert len(videos[0]) == 5
    assert videos[0] == videos[1]


def test_lips_splits_share_no_sentence_and_keep_faces_for_the_test():
    planned = lips.plan(1200, 12, 2, seed=1)
    by_split = {split: [clip for clip in planned if clip.split == split] for split in SPLITS}
    assert [len(by_split[split]) for split in SPLITS] == [1008, 96, 96]
    assert len({clip.words for clip in planned}) == len({clip.name for clip in planned}) == 1200
    assert {clip.speaker for clip in by_split["test"]} == set(range(12))
    assert {clip.speaker for clip in by_split["train"] + by_split["valid"]} == set(range(10))
    assert {word for clip in by_split["train"] for word in clip.words} == {w for words in lips.GRAMMAR for w in words}


def test_lips_sentences_are_all_of_the_grammar():
    texts = {" ".join(lips.sentence(number)) for number in range(lips.SENTENCES)}
    assert len(texts) == 64_000
    assert all(map(SENTENCE.fullmatch, texts))


def openness(module, phone: str, tmp_path: Path) -> float:
    """How far the picture of a mouth in the middle of ``phone`` is from that of the mouth at rest, decoded."""
    mouth, render = module("mouth"), module("render")
    phones = [(0.0, ""), (1.0, phone), (1.4, "")]
    distances = []
    for seed in range(4):
        track = mouth.mouth_track(phones, overlap=0.04)
        frames = mouth.draw(track, mouth.random_face(np.random.default_rng(seed)), np.random.default_rng(seed))
        render.write_video(tmp_path / "clip.mp4", frames)
        decoded = decode(tmp_path / "clip.mp4").astype(float)
        distances.append(np.abs(decoded[30] - decoded[20]).mean())
    return float(np.mean(distances))


def test_lips_close_on_labials_and_open_on_vowels(module, tmp_path):
    closed = [openness(module, phone, tmp_path) for phone in "pbm"]
    for vowel in ("ɑ", "ɛ", "ɒ"):
        assert openness(module, vowel, tmp_path) > 2 * max(closed)


def test_a_short_labial_between_vowels_still_closes(module):
    mouth = module("mouth")
    opening = mouth.mouth_track([(0.0, ""), (1.0, "ɑ"), (1.22, "b"), (1.30, "ɑ"), (1.6, "")], overlap=0.04)[:, 0]
    assert opening[31] < 0.15  # 1.26 s
    assert min(opening[27:30].max(), opening[33:39].max()) > 0.7
    assert opening[:22].max() < 0.02


def test_every_word_has_phones_with_shapes(module):
    mouth, voice = module("mouth"), module("phones").Voice()
    said = {}
    for words in lips.GRAMMAR:
        for word in words:
            phones = voice.phones(word, 150)
            assert [second for second, _ in phones] == sorted(second for second, _ in phones)
            assert phones[0][0] == 0
            mouth.timed_shapes(phones)
            said[word] = "".join(phone for _, phone in phones)
    assert said["blue"] == "blu"
    assert said["please"] == "pliz"
    assert said["five"] == "faɪv"


def test_the_letter_a_is_not_the_article(module):
    render = module("render")
    phones = render.say("bin blue at a two now", module("phones").Voice(), np.random.default_rng(1))
    assert "eɪ" in [phone for _, phone in phones]
    assert phones[0] == (0.0, "")
    assert 0 < phones[1][0] < phones[-1][0] < 3


def test_a_phone_without_a_shape_is_named(module):
    with pytest.raises(ValueError, match="ø"):
        module("mouth").timed_shapes([(0.0, ""), (1.0, "ø"), (2.0, "")])


def test_lips_that_cannot_be_drawn_are_one_line(tmp_path):
    with pytest.raises(UserError, match=r"drawing failed: .*No such file") as caught:
        lips.render(lips.plan(3, 2, 0, seed=1), 1, tmp_path / "missing")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"src": "audio"}, "--src audio"),
        ({"tgt": "de"}, "--tgt de"),
        ({"from_dir": Path("mine")}, "mine"),
        ({"clips": 2}, "clips must be a whole number from 3 to 64,000, got 2"),
        ({"clips": "many"}, "got 'many'"),
        ({"speakers": 0}, "speakers must be"),
        ({"speakers": "two"}, "got 'two'"),
        ({"speakers": 3, "unseen": 3}, "unseen must be a whole number from 0 to 2, got 3"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_lips_options_are_checked(bad, said, tmp_path):
    options = {"src": "video", "tgt": "en", "cache": tmp_path / "cache", **bad}
    with pytest.raises(UserError, match=re.escape(said)):
        lips.prepare(tmp_path / "out", **options)
    assert not list(tmp_path.iterdir())


# --- GRID -------------------------------------------------------------------------------------------------


@pytest.fixture
def grid_sample(tmp_path) -> Path:
    """A copy of the eight sample clips, videos and alignments apart."""
    sample = SHARED / "grid"
    if not sample.is_dir():
        pytest.skip("needs the sample of GRID beside the checkout, in ../shared/data/grid")
    for ending in ("mpg", "align"):
        folder = tmp_path / "sample" / ending
        folder.mkdir(parents=True)
        for path in sample.glob(f"*.{ending}"):
            shutil.copy(path, folder)
            (folder / path.name).chmod(0o644)
    return tmp_path / "sample"


@pytest.mark.parametrize("source", ["video", "audio"])
def test_grid(grid_sample, source, tmp_path):
    splits = read(grid.prepare(tmp_path / "out", source, "en", tmp_path / "cache", grid_sample), source)
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


def test_grid_from_its_home(grid_sample, tmp_path, monkeypatch):
    """The two archives of a speaker, from a real web server on this machine."""
    home = tmp_path / "home"
    home.mkdir()
    with zipfile.ZipFile(home / "s1.mpg_vcd.zip", "w") as archive:
        for path in (grid_sample / "mpg").iterdir():
            archive.write(path, f"s1/{path.name}")
    with tarfile.open(home / "s1.tar", "w") as tar:
        tar.add(grid_sample / "align", "align")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(home))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setattr(grid, "URLS", (f"{address}/s1.mpg_vcd.zip", f"{address}/s1.tar"))
        fetched = read(grid.prepare(tmp_path / "a", "video", "en", tmp_path / "cache"))
        server.shutdown()
    assert (tmp_path / "cache") in fetched["test"][0].path.parents
    given = read(grid.prepare(tmp_path / "b", "video", "en", tmp_path / "cache", grid_sample))
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
    assert "bgbh7a.align, line 2" in problem()
    alignment.write_text("0 74500 sil\n", encoding="utf-8")
    assert "bgbh7a.align has no words" in problem()
    alignment.unlink()
    assert "bgbh7a.mpg has no bgbh7a.align" in problem()
    (grid_sample / "s2").mkdir()
    shutil.copy(grid_sample / "mpg/bgbh7a.mpg", grid_sample / "s2")
    assert "give the folder of one speaker" in problem()


# --- MIRACL-VC1 -------------------------------------------------------------------------------------------


@pytest.fixture
def mouths(tmp_path) -> Path:
    """The sample's words of one woman and one man, each under three names."""
    sample = SHARED / "miracl"
    if not sample.is_dir():
        pytest.skip("needs the sample of MIRACL-VC1 beside the checkout, in ../shared/data/miracl")
    for speaker in ("F01", "M01"):
        for number in (1, 2, 3):
            for path in (sample / speaker).rglob("*.jpg"):
                copy = tmp_path / "data/cropped" / f"{speaker[0]}0{number}" / path.relative_to(sample / speaker)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())
    return tmp_path / "data"


def test_miracl_holds_speakers_out(mouths, tmp_path):
    splits = read(miracl.prepare(tmp_path / "out", "video", "en", tmp_path, mouths))
    speakers = {split: {item.speaker for item in splits[split]} for split in SPLITS}
    assert speakers == {"train": {"F01", "F02"}, "valid": {"F03", "M01"}, "test": {"M02", "M03"}}
    for items in splits.values():
        assert len(items) == 20
        assert {item.texts[0] for item in items} == set(miracl.TEXTS["words"])
        assert all(list(item.path.glob("color_*.jpg")) for item in items)
    first = splits["train"][0]
    assert (first.id, first.texts, first.speaker) == ("F01_words_01_01", ("begin",), "F01")
    assert first.path == mouths / "cropped/F01/words/01/01"


def test_miracl_with_few_speakers_and_phrases(mouths, tmp_path):
    for speaker in ("F02", "F03", "M03"):
        shutil.rmtree(mouths / "cropped" / speaker)
    for words in (mouths / "cropped").glob("*/words"):
        shutil.copytree(words, words.with_name("phrases"))
    phrases = read(miracl.prepare(tmp_path / "out", "video", "en", tmp_path, mouths / "cropped", kind="phrases"))
    assert {split: phrases[split][0].speaker for split in SPLITS} == {"train": "F01", "valid": "M01", "test": "M02"}
    assert phrases["train"][-1].texts == ("have a good time",)
    both = read(miracl.prepare(tmp_path / "out", "video", "en", tmp_path, mouths, kind="both"))
    assert [len(both[split]) for split in SPLITS] == [20, 20, 20]


def test_miracl_mistakes_are_named(mouths, tmp_path):
    def problem(**changes: object) -> str:
        options = {"src": "video", "tgt": "en", "cache": tmp_path, "from_dir": mouths, **changes}
        with pytest.raises(UserError) as caught:
            miracl.prepare(tmp_path / "out", **options)
        assert not (tmp_path / "out").exists()
        return str(caught.value)

    assert "--src audio" in problem(src="audio")
    assert "--tgt ko" in problem(tgt="ko")
    assert "words or phrases or both" in problem(kind="letters")
    assert "--from FOLDER" in problem(from_dir=None)
    assert "no phrases in" in problem(kind="phrases")
    assert "no words in" in problem(from_dir=mouths / "cropped/F01")
    (mouths / "cropped/F01/words/03/02").mkdir()
    assert "F01/words/03/02 has no color_*.jpg" in problem()
    (mouths / "cropped/F01/words/03/02").rename(mouths / "cropped/F01/words/11")
    (mouths / "cropped/F01/words/11/01").mkdir()
    assert "F01/words/11: no such class" in problem()
    shutil.rmtree(mouths / "cropped/F01")
    for speaker in ("F02", "F03", "M01"):
        shutil.rmtree(mouths / "cropped" / speaker)
    assert "only M02 and M03" in problem()
