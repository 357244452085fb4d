"""App chatbot: conversations through the pipeline, and a conversation by hand."""

from __future__ import annotations

import json
import math
import os
import pty
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from command_line import call, start
from fastapi.testclient import TestClient
from omegaconf import OmegaConf
from read_only import read_only
from starlette.testclient import WebSocketDisconnect, WebSocketTestSession

from s2s_plugin.inference import chat
from s2s_plugin.inference.hypothesis import Hypothesis
from s2s_plugin.inference.translator import Translator
from s2s_plugin.package.model import load
from s2s_plugin.server.app import create_app
from s2s_plugin.server.limits import Limits
from s2s_plugin.text.retrieval import TURN

CHAT = "/v1/models/bot/chat"
# The second reply needs the turn before the last one.
FRIENDS = ["ann", "bob", "dan", "eva"]
NAMES = ["cat", "fay", "gus", "hal", "ian", "joe", "kim", "lou"]
VERBS = ["sings", "runs", "reads", "cooks"]
SETTINGS = (
    "model=tiny model.dropout=0 subword.size=150 subword.kind=word dataset.max_tokens=500 optimization.max_update=240 "
    "optimization.lr=[0.01] lr_scheduler.warmup_updates=20 dataset.validate_interval_updates=120 "
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
        "my friend ann <turn > sings gus",
        f"my friend ann <turn > sings gus <turn> {first.text} <turn> Ask gus?",
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


def test_a_run_that_is_read_only_chats(run: tuple[Path, str], tmp_path: Path):
    with read_only(run[0], tmp_path / "work") as folder:
        done = call("s2s chat app=chatbot chat.candidates=2", cwd=folder, stdin="my friend ann sings gus")
        assert done.stdout.count("\t") == 1
        assert (
            "chat.json: cannot be written (Read-only file system); the threshold is chosen at each start" in done.stderr
        )


def test_sampling_is_varied(run: tuple[Path, str]):
    options = "chat.threshold=0 generation.sampling=true generation.temperature=3 chat.candidates=1"
    replies = said(run[0], "my friend bob runs hal\n" * 6, f"{options} task.typical_sampling=0.99")
    assert len({reply for reply, _ in replies}) > 1


@pytest.mark.slow
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
    process = start("s2s chat app=chatbot chat.threshold=0", run[0], inner, inner, inner)
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
    done = call("s2s chat app=chatbot chat.threshold=0", run[0], stdin=b"hello\n\xff\n", check=False)
    assert done.returncode == 2 and "standard input, line 2: byte 1 is not UTF-8" in done.stderr


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


def test_as_one_file(run: tuple[Path, str], tmp_path: Path):
    """The threshold, and how often each reply occurs in training, go along."""
    folder, _ = run
    call(f"s2s export runs/chatbot/default --to {tmp_path / 'bot.s2s'}", cwd=folder)
    turn = "My friend ann sings, lou!"
    said = call("s2s chat model=bot.s2s", cwd=tmp_path, stdin=f"{turn}\n").stdout
    assert said == call("s2s chat app=chatbot", cwd=folder, stdin=f"{turn}\n").stdout
    bot = load(tmp_path / "bot.s2s").chat()
    reply = bot.reply(turn)
    assert f"{reply.text}\t{reply.confidence:.2f}\n" == said
    assert bot.turns == ([turn, reply.text] if reply.sure else [])


def test_conversations_over_a_web_socket(run: tuple[Path, str], tmp_path: Path):
    """Several at once, each with its own history; it ends at a limit, or when the client is silent."""
    call(f"s2s export runs/chatbot/default --to {tmp_path / 'bot.s2s'}", cwd=run[0])
    model = load(tmp_path / "bot.s2s")
    model._chat["threshold"] = 0  # every reply counts
    limits = Limits(characters=100, conversations=2, pause=1.0)
    bots = {friend: model.chat() for friend in ("ann", "dan")}
    turns = ["My friend {} sings, lou!", "Ask lou?"]
    with TestClient(create_app({"bot": model}, limits, hosts=["testserver"])) as client:
        assert client.get("/v1/models").json()[0]["chat"]
        with client.websocket_connect(CHAT) as first, client.websocket_connect(CHAT) as second:
            with client.websocket_connect(CHAT) as third:
                assert closed(third) == 1013
            for turn in turns:
                for friend, sock in (("ann", first), ("dan", second)):
                    sock.send_text(turn.format(friend))
                    assert sock.receive_json()["text"] == bots[friend].reply(turn.format(friend)).text
            assert bots["ann"].turns != bots["dan"].turns
            first.send_text("a" * 101)
            second.send_bytes(b"a")
            assert [closed(first), closed(second)] == [1009, 1003]
        with client.websocket_connect(CHAT) as silent:
            assert closed(silent) == 1000


def closed(sock: WebSocketTestSession) -> int:
    """Return the code that the server ends a conversation with."""
    with pytest.raises(WebSocketDisconnect) as end:
        sock.receive_json()
    return end.value.code
