"""Conversations as pairs of turns and reply, from the user's own files too."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from command_line import call
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from s2s_plugin.corpora.dialogues import exchanges, question_key, split_by_question
from s2s_plugin.corpora.parallel import extra_pairs, own_splits, read_conversations
from s2s_plugin.corpora.splits import SPLITS
from s2s_plugin.corpora.tally import Tally
from s2s_plugin.errors import UserError
from s2s_plugin.stages import schema as config


def test_a_source_is_the_last_turns():
    turns = ["a b", "c", "d", "e"]
    assert list(exchanges(turns, 1)) == [("a b", "c"), ("c", "d"), ("d", "e")]
    assert list(exchanges(turns, 3))[1:] == [("a b <turn> c", "d"), ("a b <turn> c <turn> d", "e")]
    assert list(exchanges(["a <turn> b", "c <turn>", "d"], 2))[1] == ("a <turn > b <turn> c <turn >", "d")
    assert list(exchanges(["a", "c <turn>"], 2)) == [("a", "c <turn>")]


def test_no_question_is_on_two_sides():
    draw = random.Random(1)
    words = ["what", "who", "is", "are", "you", "it"]
    questions = [" ".join(draw.choices(words, k=3)) for _ in range(2000)]
    sources = [f"before <turn> {first}" if n % 2 else f"{first.upper()}?" for n, first in enumerate(questions)]
    pairs = [(source, "same reply") for source in sources]
    splits = split_by_question(((f"{n}", pair) for n, pair in enumerate(pairs)), 0.2, 0.2)
    keys = {split: [question_key(pair[0]) for pair in splits[split]] for split in SPLITS}
    for first, second in (("train", "valid"), ("train", "test"), ("valid", "test")):
        assert not set(keys[first]) & set(keys[second])
    for split in ("valid", "test"):
        assert len(keys[split]) == len(set(keys[split])) > 5


def test_own_pairs_may_share_replies(tmp_path: Path):
    """Taken apart by question alone, as told or because nearly all pairs share their target."""
    for side in ("turns", "reply"):
        text = "".join(f"question {n}\n" if side == "turns" else "No idea.\n" for n in range(100))
        (tmp_path / f"my.{side}").write_text(text)
    data = {
        "source": f"{tmp_path}/my.turns",
        "target": f"{tmp_path}/my.reply",
        "pairs": None,
        "held_out": 1000,
        "dialogues": None,
        "on_bad_item": "error",
    }
    rest = {f"{split}_{side}": None for split in ("valid", "test") for side in ("source", "target", "pairs")}
    languages = {"source_lang": "turns", "target_lang": "reply"}
    cfg = OmegaConf.create({"data": {**data, **rest, **languages, "shared_targets": True}, "subword": {"lossless": 0}})
    splits = own_splits(cfg, Tally())
    assert sum(map(len, splits.values())) == 100 and len(splits["train"]) > 70
    cfg.data.shared_targets = False
    assert sum(map(len, own_splits(cfg, Tally()).values())) == 100


def test_further_pairs_do_not_answer_what_is_held_out(tmp_path: Path):
    """Whatever was said before the question."""
    talk = {"turns": "hi there <turn> How are you?\nhello <turn> who are you\n", "reply": "Fine.\nMe.\n"}
    for side, text in talk.items():
        (tmp_path / f"more.{side}").write_text(text)
    files = "data.source=my.turns data.target=my.reply data.extra_source=more.turns data.extra_target=more.reply"
    config.register()
    with initialize_config_dir(str(config.CONF), version_base="1.3"):
        cfg = compose(
            "s2s", overrides=["app=chatbot", "data=files", *files.replace("=more", f"={tmp_path}/more").split()]
        )
    held_out = [("hello <turn> how are you", "Well."), ("who is it", "Fine.")]
    assert extra_pairs(cfg, held_out, Tally()) == [("hello <turn> who are you", "Me.")]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "the file is empty"),
        (b"hello\n\nyou\n", "no conversation of two turns"),
        (b"hello\n\xff\n", "my.txt:2: byte 1 is not UTF-8"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes, named: str):
    (tmp_path / "my.txt").write_bytes(content)
    with pytest.raises(UserError, match=re.escape(named)):
        read_conversations(tmp_path / "my.txt", Tally())


def test_empty_lines_stand_between_conversations(tmp_path: Path):
    (tmp_path / "my.txt").write_text("\ufeffa\nb\n\n \nonly one\n\nc  d\r\ne\nf", encoding="utf-8")
    assert read_conversations(tmp_path / "my.txt", Tally()) == [(1, ["a", "b"]), (7, ["c d", "e", "f"])]


def test_own_held_out_files_that_leak_are_told(tmp_path: Path, capsys: pytest.CaptureFixture):
    talk = {
        "train": "hello\nhi\nwho are you?\nme\n\nbye\nsee you\n",
        "valid": "good night\nbye\n",
        "test": "Who are you\nA model\n",
    }
    for split, text in talk.items():
        (tmp_path / split).write_text(text)
    names = {"dialogues": "train", "valid_dialogues": "valid", "test_dialogues": "test"}
    files = {key: f"{tmp_path}/{name}" for key, name in names.items()}
    options = {"history": 1, "held_out": 1000, "shared_targets": True, "drop_overlap": False}
    cfg = OmegaConf.create({"data": {**options, **files}})
    assert {split: len(pairs) for split, pairs in own_splits(cfg, Tally()).items()} == {
        "train": 4,
        "valid": 1,
        "test": 1,
    }
    assert "1 training pairs overlap your own held-out files (1 of 2 lines): " in capsys.readouterr().err
    cfg.data.drop_overlap, tally = True, Tally()
    dropped = own_splits(cfg, tally=tally)
    assert {split: len(pairs) for split, pairs in dropped.items()} == {"train": 3, "valid": 1, "test": 1}
    assert "who are you?" not in [source for source, _ in dropped["train"]]
    assert [len(places) for places in tally.left_out.values() if places] == [1]


def test_too_few_to_hold_some_out(tmp_path: Path):
    (tmp_path / "my.txt").write_text("a\nb\n")
    done = call("s2s prepare app=chatbot data=dialogues data.dialogues=my.txt", cwd=tmp_path, check=False)
    assert done.returncode == 2 and "my.txt: too few different pairs to hold some out" in done.stderr
    assert not list(tmp_path.glob("data-bin/*/prepared.json"))
