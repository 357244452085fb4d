"""The synthetic lips, really drawn and decoded again."""

from __future__ import annotations

import functools
import importlib
import re
from pathlib import Path

import av
import numpy as np
import pytest
from command_line import ROOT
from grid_grammar import SENTENCE, code, decode
from recipes import read_splits

from s2s_plugin.corpora.recipe import load_recipe
from s2s_plugin.corpora.splits import SPLITS
from s2s_plugin.errors import UserError

lips = load_recipe("synthetic_lips")
read = functools.partial(read_splits, "synthetic_lips", "video")


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
        ({"clips": 2}, "clips must be an integer from 3 to 64,000, got 2"),
        ({"clips": "many"}, "got 'many'"),
        ({"speakers": 0}, "speakers must be"),
        ({"speakers": "two"}, "got 'two'"),
        ({"speakers": 3, "unseen": 3}, "unseen must be an integer from 0 to 2, got 3"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_lips_options_are_checked(bad, said, tmp_path):
    options = {"src": "video", "tgt": "en", "cache": tmp_path / "cache", **bad}
    with pytest.raises(UserError, match=re.escape(said)):
        lips.prepare(tmp_path / "out", **options)
    assert not list(tmp_path.iterdir())
