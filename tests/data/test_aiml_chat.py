"""AIML and chatterbot-corpus: what is taken of them, on a few categories and conversations of our own."""

from __future__ import annotations

from pathlib import Path

import pytest
from recipes import assert_manifest, assert_no_leak, read

from s2s_plugin.corpora.dialogues import question_key
from s2s_plugin.corpora.recipe import load_recipe
from s2s_plugin.corpora.splits import SPLITS
from s2s_plugin.errors import UserError
from s2s_plugin.text.retrieval import TURN

aiml_chat = load_recipe("aiml_chat")

AIML = """<?xml version="1.0" encoding="ISO-8859-1"?>
<aiml version="1.0">
<category><pattern>HELLO</pattern><template>Hi,<br/>I am <bot name="name"/>.<think><set name="x">y</set></think></template></category>
<category><pattern>HEY  YOU</pattern><template><srai>HELLO</srai></template></category>
<category><pattern>HEYA</pattern><template>So. <srai>HEY YOU</srai></template></category>
<category><pattern>ROUND</pattern><template><srai>ROUND</srai></template></category>
<category><pattern>GONE</pattern><template><srai>NO SUCH PATTERN</srai></template></category>
<category><pattern>STAR</pattern><template><srai>HELLO <star/></srai></template></category>
<category><pattern>BYE</pattern><template><random><li>Bye.</li><li>See <em>you</em>.</li></random></template></category>
<category><pattern>MY NAME</pattern><template>You are <get name="name"/>.</template></category>
<category><pattern>AGE</pattern><template>I am <bot name="age"/>.</template></category>
<category><pattern>I LIKE *</pattern><template>Why?</template></category>
<category><pattern>YES</pattern><that>ARE YOU HAPPY</that><template>So am I.</template></category>
<category><pattern>YES</pattern><that>* SAD</that><template>Oh.</template></category>
</aiml>
"""  # noqa: E501


@pytest.fixture
def standard(tmp_path: Path) -> Path:
    folder = tmp_path / "packages" / "aiml" / "botdata" / "standard"
    folder.mkdir(parents=True)
    (folder / "std-hello.aiml").write_text(AIML, encoding="latin-1")
    (folder / "std-broken.aiml").write_text("<aiml><category>", encoding="latin-1")
    for left_out in ("std-sextalk", "dev-testcases"):
        text = "<aiml><category><pattern>NO</pattern><template>No.</template></category></aiml>"
        (folder / f"{left_out}.aiml").write_text(text, encoding="latin-1")
    return folder


@pytest.fixture
def packages(standard: Path) -> Path:
    top = standard.parents[2]
    for language, hello in (("english", "Hello"), ("korean", "안녕")):
        folder = top / "chatterbot_corpus" / "data" / language
        folder.mkdir(parents=True)
        lines = "".join(f"- - {hello} {n}\n  - What is it {n}?\n  - Nothing {n}\n" for n in range(60))
        (folder / "conversations.yml").write_text(f"categories:\n- talk\nconversations:\n{lines}", encoding="utf-8-sig")
        (folder / "emotion.yml").write_text(f"conversations:\n- - {hello} there\n  - Good.\n  - Bad.\n- text\n")
    return top


def test_templates_that_need_no_engine_are_taken(standard: Path):
    assert list(aiml_chat.aiml_conversations([standard])) == [
        ["hello", "Hi, I am Alice."],
        ["hey you", "Hi, I am Alice."],
        ["heya", "So. Hi, I am Alice."],
        ["bye", "Bye."],
        ["bye", "See you."],
        ["are you happy", "yes", "So am I."],
    ]


def test_a_line_of_emotion_replies_to_the_first(packages: Path):
    found = list(aiml_chat.chatterbot_conversations(packages / "chatterbot_corpus/data/english"))
    assert found[0] == ["Hello 0", "What is it 0?", "Nothing 0"]
    assert found[-2:] == [["Hello there", "Good."], ["Hello there", "Bad."]]


@pytest.mark.parametrize("turn", ["She is naked.", "KILL them", "a <b>", "", " ".join("a" * 31)])
def test_unwanted_turns_are_left_out(turn: str):
    assert not aiml_chat.usable(["hello", turn])
    assert aiml_chat.usable(["hello", "I have class and skills."])


@pytest.mark.parametrize("history", [1, 2])
def test_conversations_are_split_by_question(packages: Path, tmp_path: Path, history: int):
    out = aiml_chat.prepare(
        tmp_path / "out", "turns", "reply", tmp_path, from_dir=packages, history=history, valid=0.2, test=0.2
    )
    assert_manifest(out, "aiml_chat")
    sources = {split: read(out, f"{split}.turns") for split in SPLITS}
    assert_no_leak({question_key(line) for line in lines} for lines in sources.values())
    every = [line for lines in sources.values() for line in lines]
    assert any(TURN in line for line in every) == (history > 1)
    assert all(line.count(TURN) < history for line in every)


def test_every_second_question_is_typed_with_contractions_and_none_is_held_out(packages: Path, tmp_path: Path):
    talk = "".join(f"- - {asked} {n}\n  - One.\n" for n in range(200) for asked in ("what is it", "whats it"))
    (packages / "chatterbot_corpus/data/english/twins.yml").write_text(f"conversations:\n{talk}")
    out = aiml_chat.prepare(tmp_path / "out", "turns", "reply", tmp_path, from_dir=packages, valid=0.2, test=0.2)
    sources = {split: read(out, f"{split}.turns") for split in SPLITS}
    assert_no_leak({question_key(line) for line in lines} for lines in sources.values())
    typed, full = (sum(form in line for line in sources["train"]) for form in ("what's it", "what is it"))
    assert 20 < typed < 100 and 40 < full < 100
    assert not any("what's it" in line for split in ("valid", "test") for line in sources[split])


def test_some_questions_come_again_after_another_turn():
    exchanges = [(f"question {number}", f"Reply {number}.") for number in range(30)]
    again = aiml_chat.after_other_turns([("before <turn> question", "Reply."), *exchanges])
    asked = [(source.partition(" <turn> ")[2], reply) for source, reply in again]
    assert asked == exchanges[::3]
    before = {source.partition(" <turn> ")[0] for source, _ in again}
    assert before < {reply for _, reply in exchanges}
    assert len(before) > 5


def test_another_language_has_no_aiml(packages: Path, tmp_path: Path):
    out = aiml_chat.prepare(
        tmp_path / "out", "turns", "reply", tmp_path, from_dir=packages, language="korean", valid=0.2, test=0.2
    )
    assert not any("hey you" in line for split in SPLITS for line in read(out, f"{split}.turns"))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"language": "klingon"}, "language must be one of english, korean, got klingon"),
        ({"aiml": "all"}, "aiml must be one of standard, alice, none, got .all"),
        ({"history": 0}, "data.history must be at least 1, got 0"),
    ],
)
def test_wrong_options_are_named(packages: Path, tmp_path: Path, option: dict, message: str):
    with pytest.raises(UserError, match=message):
        aiml_chat.prepare(tmp_path / "out", "turns", "reply", tmp_path, from_dir=packages, **option)


def test_without_the_packages(tmp_path: Path):
    with pytest.raises(UserError, match=r"no folder chatterbot_corpus in .*chatterbot-corpus==1\.3\.3"):
        aiml_chat.prepare(tmp_path / "out", "turns", "reply", tmp_path, from_dir=tmp_path)
