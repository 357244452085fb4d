"""App chatbot: conversations through the pipeline, and a conversation by hand."""

from __future__ import annotations

import json
import math
import os
import pty
import random
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from command_line import BIN, call
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from s2s_plugin.corpora.dialogues import exchanges, question_key, split_by_question
from s2s_plugin.corpora.parallel import extra_pairs, own_splits, read_conversations
from s2s_plugin.corpora.splits import SPLITS
from s2s_plugin.errors import UserError
from s2s_plugin.inference import chat
from s2s_plugin.inference.translator import Hypothesis, Translator
from s2s_plugin.stages import schema as config
from s2s_plugin.text.retrieval import TURN

# The second reply needs the turn before the last one.
FRIENDS = ["ann", "bob", "dan", "eva"]
NAMES = ["cat", "fay", "gus", "hal", "ian", "joe", "kim", "lou"]
VERBS = ["sings", "runs", "reads", "cooks"]
SETTINGS = (
    "model=tiny model.dropout=0 subword.size=150 subword.kind=word dataset.max_tokens=500 optimization.max_update=400 "
    "optimization.lr=[0.01] lr_scheduler.warmup_updates=20 dataset.validate_interval_updates=200 "
    "ema.store_ema=false"
)


def conversations(count: int) -> Iterator[str]:
    draw = random.Random(1)
    for _ in range(count):
        friend, verb = draw.choice(FRIENDS), draw.choice(VERBS)
        others = " ".join(draw.sample(NAMES, draw.randint(1, 2)))
        yield f"My friend {friend} {verb}, {others}!\nDoes {friend} like it?\nAsk {others}?\nI will ask {friend}.\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[Path, str]:
    """A finished run: the folder it was called in, what it printed."""
    folder = tmp_path_factory.mktemp("chat")
    (folder / "my.txt").write_text("\n".join(conversations(400)), encoding="utf-8")
    done = call(f"s2s run app=chatbot data=dialogues data.dialogues=my.txt {SETTINGS}", cwd=folder)
    return folder, done.stdout


def lines(folder: Path, name: str) -> list[str]:
    return (next(folder.glob("data-bin/dialogues.*")) / "text" / name).read_text(encoding="utf-8").splitlines()


# -------------------------------------------------------------- conversations


def test_a_source_is_the_last_turns():
    turns = ["a b", "c", "d", "e"]
    assert list(exchanges(turns, 1)) == [("a b", "c"), ("c", "d"), ("d", "e")]
    assert list(exchanges(turns, 3))[1:] == [("a b <turn> c", "d"), ("a b <turn> c <turn> d", "e")]


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
    """Taken apart by question alone; as pairs of translation nothing would be left to train on."""
    for side in ("turns", "reply"):
        text = "".join(f"question {n}\n" if side == "turns" else "No idea.\n" for n in range(100))
        (tmp_path / f"my.{side}").write_text(text)
    data = {
        "source": f"{tmp_path}/my.turns",
        "target": f"{tmp_path}/my.reply",
        "held_out": 1000,
        "dialogues": None,
        "on_bad_item": "error",
    }
    rest = {f"{split}_{side}": None for split in ("valid", "test") for side in ("source", "target")}
    languages = {"source_lang": "turns", "target_lang": "reply"}
    cfg = OmegaConf.create({"data": {**data, **rest, **languages, "shared_targets": True}, "subword": {"lossless": 0}})
    splits = own_splits(cfg)
    assert sum(map(len, splits.values())) == 100 and len(splits["train"]) > 70
    cfg.data.shared_targets = False
    with pytest.raises(UserError, match="too few different pairs to hold some out"):
        own_splits(cfg)


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
    assert extra_pairs(cfg, held_out) == [("hello <turn> who are you", "Me.")]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "the file is empty"),
        (b"hello\n\nyou\n", "no conversation of two turns"),
        (b"hello\nyou <turn> me\n", "my.txt:2: contains <turn>"),
        (b"hello\n\xff\n", "my.txt:2: byte 1 is not UTF-8"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes, named: str):
    (tmp_path / "my.txt").write_bytes(content)
    with pytest.raises(UserError, match=re.escape(named)):
        read_conversations(tmp_path / "my.txt")


def test_empty_lines_stand_between_conversations(tmp_path: Path):
    (tmp_path / "my.txt").write_text("\ufeffa\nb\n\n \nonly one\n\nc  d\r\ne\nf", encoding="utf-8")
    assert list(read_conversations(tmp_path / "my.txt")) == [["a", "b"], ["c d", "e", "f"]]


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
    cfg = OmegaConf.create({"data": {"history": 1, "held_out": 1000, "shared_targets": True, **files}})
    assert {split: len(pairs) for split, pairs in own_splits(cfg).items()} == {
        "train": 4,
        "valid": 1,
        "test": 1,
    }
    assert "1 training pairs overlap your own held-out files" in capsys.readouterr().err


def test_too_few_to_hold_some_out(tmp_path: Path):
    (tmp_path / "my.txt").write_text("a\nb\n")
    done = call("s2s prepare app=chatbot data=dialogues data.dialogues=my.txt", cwd=tmp_path, check=False)
    assert done.returncode == 2 and "my.txt: too few different pairs to hold some out" in done.stderr
    assert not list(tmp_path.glob("data-bin/*/prepared.json"))


# ------------------------------------------------------------------- the run


def test_history_is_in_the_sources(run: tuple[Path, str]):
    sources = lines(run[0], "train.turns")
    assert {line.count(TURN) for line in sources} == {0, 1}
    prepared = next(run[0].glob("data-bin/dialogues.*"))
    pieces = (prepared / "pieces/train.turns").read_text(encoding="utf-8")
    assert "▁<turn>" in pieces.split() and "!" not in pieces and "My" not in pieces
    assert "?" in (prepared / "pieces/train.reply").read_text(encoding="utf-8")


def test_scores_are_of_the_replies(run: tuple[Path, str]):
    scores = json.loads((run[0] / "runs/chatbot/default/scores.json").read_text())
    replies = [json.loads(line)["hypothesis"] for line in (run[0] / "runs/chatbot/default/outputs.jsonl").open()]
    words = [word for reply in replies for word in re.findall(r"\w+", reply.lower())]
    assert scores["metrics"]["distinct-1"]["score"] == pytest.approx(100 * len(set(words)) / len(words), abs=0.01)
    assert scores["metrics"]["length"]["score"] == pytest.approx(len(words) / len(replies), abs=0.01)
    assert scores["metrics"]["exact"]["score"] > 50
    assert "perplexity" in run[1]


def test_perplexity_is_fairseqs(run: tuple[Path, str]):
    found = json.loads((run[0] / "runs/chatbot/default/scores.json").read_text())["metrics"]["perplexity"]
    prepared = next(run[0].glob("data-bin/dialogues.*"))
    done = call(
        f"fairseq-validate {prepared} --user-dir {Path(chat.__file__).parents[1]} --task s2s -s turns -t reply "
        "--path runs/chatbot/default/checkpoints/checkpoint_best.pt --valid-subset test --batch-size 16 --cpu "
        "--log-format json",
        cwd=run[0],
    )
    base2 = float(re.findall(r'"test_nll_loss": "([\d.]+)"', done.stdout + done.stderr)[-1])
    assert found["score"] == pytest.approx(2**base2, abs=0.006)
    assert "unit:token" in found["signature"] and not found["higher_is_better"]


# -------------------------------------------------------------------- by hand


def said(folder: Path, stdin: str, overrides: str = "chat.threshold=0") -> list[list[str]]:
    done = call(f"s2s chat app=chatbot {overrides}", cwd=folder, stdin=stdin)
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_a_conversation_goes_on_from_turn_to_turn(run: tuple[Path, str]):
    turns = "".join(f"my friend {friend} sings gus\n\n" for friend in FRIENDS)
    replies = said(run[0], f"{turns}quit\nnever read\n", "chat.threshold=0 chat.generic_penalty=0")
    assert [reply for reply, _ in replies[:1]] == ["Does ann like it?"] and len(replies) == len(FRIENDS)
    assert all(0 < float(confidence) <= 1 for _, confidence in replies)


class Heard(Translator):
    """Remembers what it was asked."""

    def candidates(self, lines: Sequence[str]) -> list[list[Hypothesis]]:
        self.sources = [*getattr(self, "sources", []), *lines]
        return super().candidates(lines)


def test_the_last_turns_are_the_source(run: tuple[Path, str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(run[0])
    cfg = OmegaConf.load("runs/chatbot/default/config.yaml")
    translator = Heard(Path("runs/chatbot/default/checkpoints/checkpoint_best.pt"), cfg.generation, cpu=True)
    cfg.chat.threshold = 0
    bot = chat.Chatbot(translator, cfg.chat, 3, {})
    first = bot.reply("my friend ann <turn> sings gus")
    second = bot.reply("Ask gus?")
    bot.reply("Thanks.")
    assert translator.sources == [
        "my friend ann   sings gus",
        f"my friend ann   sings gus <turn> {first.text} <turn> Ask gus?",
        f"Ask gus? <turn> {second.text} <turn> Thanks.",
    ]
    cfg.chat.threshold = 1.0
    unsure = bot.reply("Who?")
    assert unsure.text == cfg.chat.fallback and not unsure.sure and 0 < unsure.confidence < 1
    remembered = list(bot.turns)
    bot.reply("Me.")
    assert translator.sources[-1].endswith(f"{remembered[-1]} <turn> Me.") and "Who?" not in translator.sources[-1]


def test_an_unsure_reply_is_withheld_and_forgotten(run: tuple[Path, str]):
    replies = said(run[0], "my friend bob runs hal\nask hal\n", "chat.threshold=1 chat.fallback=Pardon?")
    assert [reply for reply, _ in replies] == ["Pardon?", "Pardon?"]


def test_the_threshold_is_found_in_validation(run: tuple[Path, str]):
    done = call("s2s chat app=chatbot", cwd=run[0], stdin="hello")
    found = json.loads((run[0] / "runs/chatbot/default/chat.json").read_text())
    valid = len(lines(run[0], "valid.turns"))
    assert found["replies"] == valid >= found["kept"] >= found["correct_kept"] > 0
    assert f"below {found['threshold']:.2f} are withheld" in done.stderr and "first use" in done.stderr
    assert "first use" not in call("s2s chat app=chatbot", cwd=run[0], stdin="hello").stderr


def test_sampling_is_varied(run: tuple[Path, str]):
    options = "chat.threshold=0 generation.sampling=true generation.temperature=3 chat.candidates=1"
    replies = said(run[0], "my friend bob runs hal\n" * 6, f"{options} task.typical_sampling=0.99")
    assert len({reply for reply, _ in replies}) > 1


def test_another_seed_draws_others(run: tuple[Path, str]):
    drawn = {}
    for seed in (1, 2, 1):
        call(f"s2s generate app=chatbot generation.sampling=true generation.beam=1 task.seed={seed}", cwd=run[0])
        outputs = (run[0] / "runs/chatbot/default/outputs.jsonl").read_text()
        assert drawn.setdefault(seed, outputs) == outputs
    assert drawn[1] != drawn[2]
    call("s2s generate app=chatbot", cwd=run[0])  # as it was


def test_two_ways_to_choose_are_refused(run: tuple[Path, str]):
    for option, named in (
        ("task.mbr=chrf", "are mutually exclusive"),
        ("chat.candidates=0", "at least 1, got 0"),
    ):
        done = call(f"s2s chat app=chatbot {option}", cwd=run[0], stdin="hello\n", check=False)
        assert done.returncode == 2 and named in done.stderr


def test_a_terminal_has_a_prompt_and_ends_with_ctrl_d(run: tuple[Path, str]):
    outer, inner = pty.openpty()
    process = subprocess.Popen(
        [BIN / "s2s", "chat", "app=chatbot", "chat.threshold=0"], cwd=run[0], stdin=inner, stdout=inner, stderr=inner,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    os.close(inner)
    seen = b""
    for typed, awaited in ((b"my friend dan reads fay\n", rb"> $"), (b"\x04", rb"(?s)\t[\d.]+\s.*> $")):
        while not re.search(awaited, seen):
            seen += os.read(outer, 1000)  # an error where the process has ended
        os.write(outer, typed)
    assert process.wait(timeout=300) == 0
    assert b"Does dan like it?" in seen and b"Ctrl-D" in seen
    os.close(outer)


def test_what_is_not_text_is_named(run: tuple[Path, str]):
    done = subprocess.run(
        [BIN / "s2s", "chat", "app=chatbot", "chat.threshold=0"],
        cwd=run[0],
        input=b"hello\n\xff\n",
        capture_output=True,
    )
    assert done.returncode == 2 and b"standard input, line 2: byte 1 is not UTF-8" in done.stderr


# ------------------------------------------------------------ confidence, choice


class Silent:
    """A translator to which nothing that it reads has symbols."""

    def candidates(self, lines: Sequence[str]) -> list[list[Hypothesis]]:
        return [[Hypothesis()]] * len(lines)


@pytest.mark.parametrize("threshold", [0, 0.5])
def test_to_nothing_the_fallback_is_said(threshold: float):
    options = {"threshold": threshold, "candidates": 1, "generic_penalty": 0.1, "fallback": "Pardon?"}
    bot = chat.Chatbot(Silent(), OmegaConf.create(options), 3, {})
    assert bot.reply("\u200b") == chat.Reply("Pardon?", 0.0, sure=False) and bot.turns == []


def hypothesis(text: str, score: float) -> Hypothesis:
    return Hypothesis(text, score, math.exp(score), [], None)


def test_what_is_said_to_everything_loses():
    candidates = [hypothesis("I do not know.", -0.5), hypothesis("In Rome.", -0.6)]

    def said_with(penalty: float, number: int = 2) -> str:
        options = OmegaConf.create({"candidates": number, "generic_penalty": penalty})
        return chat.choose(candidates, {"i do not know": 50}, options).text

    assert said_with(0) == said_with(0.02) == "I do not know."
    assert said_with(0.1) == "In Rome."
    assert said_with(0.1, number=1) == "I do not know."  # nothing else was asked for


def test_the_threshold_keeps_nine_of_ten_right_replies():
    confidences = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    assert chat.best_threshold(confidences, [True, False, False, False, True, False]) == 0.5
    assert chat.best_threshold(confidences, [True] * 4 + [False] * 2) == 0.6
    assert chat.best_threshold(confidences, [False] * 6) == 0
    assert chat.best_threshold([n / 20 for n in range(20)], [True, False] * 10) == 0.1  # loses that of confidence 0
