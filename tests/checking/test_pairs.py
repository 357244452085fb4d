"""What is found in a single pair, and which texts are near, by hand on small cases."""

from __future__ import annotations

import random
import string

import numpy as np
import pytest

from s2s_plugin.checking.language import language_of, load_identifier, script_of
from s2s_plugin.checking.near import BANDS, HELD_OUT_NEIGHBORS, NearIndex, are_near, signatures
from s2s_plugin.checking.text import broken_encoding, copy_kind, find_in_text


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("A dog runs.", "Latin"),
        ("Собака бежит", "Cyrillic"),
        ("개가 들판을 달린다", "Hangul"),
        ("これは日本語の文章です", "Han and Kana"),
        ("find / [опция_поиска] [значение]", "Cyrillic"),
        ("Собака runs across", None),  # mixed
        ("OK, 42!", None),  # few letters
        ("１２３ ＡＢＣ １２３４５６", None),
    ],
)
def test_the_script_of_a_text(text: str, script: str | None):
    assert script_of(text) == script


def test_languages_are_identified_only_if_it_is_sure():
    pytest.importorskip("py3langid")
    identifier = load_identifier()
    assert language_of("Ein brauner Hund rennt über eine grüne Wiese.", identifier) == "de"
    assert language_of("A brown dog is running across a green field.", identifier) == "en"
    assert language_of("개가 들판을 가로질러 빠르게 달리고 있다", identifier) == "ko"
    for text in ("Ein Hund", "find . -name '*.txt' -exec grep foo {} +", "12e3 4435 bef3 4c5f b395 77aa"):
        assert language_of(text, identifier) is None


BROKEN = ["Die StraÃŸe ist schÃ¶n", "â€œWhyâ€\x9d she asked", "Ð¿Ñ€Ð¸Ð²ÐµÑ‚"]
SOUND = ["Die Straße ist schön", "naïve café, l'État", "½ Å ﬁne", "ÁÉÍ", "한국어"]


@pytest.mark.parametrize("text", BROKEN + SOUND)
def test_mojibake_with_ftfy(text: str):
    ftfy = pytest.importorskip("ftfy")
    fixed = broken_encoding(text, ftfy)
    assert (fixed is not None) == (text in BROKEN)
    assert fixed is None or fixed in ("Die Straße ist schön", "“Why” she asked", "привет")


@pytest.mark.parametrize("text", [BROKEN[0], BROKEN[2], *SOUND])
def test_mojibake_of_a_whole_text_without_ftfy(text: str):
    assert (broken_encoding(text, None) is not None) == (text in BROKEN)


def test_characters_are_named():
    assert list(find_in_text("a\u200bb\u00ad", None)) == [
        ("control", "U+00AD SOFT HYPHEN: 1, U+200B ZERO WIDTH SPACE: 1")
    ]
    assert list(find_in_text("caf\ufffd", None)) == [("mojibake", "U+FFFD REPLACEMENT CHARACTER")]
    assert not list(find_in_text("plain text", None))


@pytest.mark.parametrize(
    ("source", "target", "kind"),
    [
        ("ein brauner hund rennt", "ein brauner hund rennt", "copy"),
        ("find name js not path node modules not path", "find name js not path node modules o path", "copy"),
        ("iphone 5s", "iphone 5s", "same"),
        ("archive data to server srv www prj folder", "rsync av data server srv www prj folder", None),
        ("ein brauner hund rennt", "a brown dog is running", None),
    ],
)  # fmt: skip
def test_copies(source: str, target: str, kind: str | None):
    assert copy_kind(source, target) == kind


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("a brown dog jumping in the air", "a brown dog is jumping in the air", True),
        ("find all the direcories in the current folder", "find all the directories in the current folder", True),
        ("ein schwarz weißer hund springt", "ein schwarzweißer hund springt", True),
        ("a brown dog runs through the field", "a black dog runs through the field", False),
        ("a crowd of people standing outside a building", "a crowd of people sitting outside a building", False),
        ("person on a skateboard in the air", "person on a wakeboard in the air", False),
        ("change the permission to 644 for all files", "change the permission to 645 for all files", False),
        ("there is no dog in this very large picture", "there is dog in this very large picture", False),
        ("header files for linux rt amd64 configuration", "header files for linux amd64 configuration", False),
        ("minimizes the active window or the given window", "maximizes the active window or the given window", False),
        ("그는 내가 좋아하는 이 상황을 즐기는 것 같아", "그녀는 내가 좋아하는 이 상황을 즐기는 것 같아", False),
        ("the dogs run", "the dog runs", False),  # too short to tell
    ],
)
def test_near_texts_say_the_same(one: str, other: str, near: bool):
    assert are_near(one, other) == are_near(other, one) == near
    assert are_near(one, one)


def random_texts(count: int) -> list[str]:
    chance = random.Random(1)
    words = ["".join(chance.choices(string.ascii_lowercase, k=chance.randint(2, 8))) for _ in range(2000)]
    return [" ".join(chance.choices(words, k=12)) for _ in range(count)]


def test_bands_are_shared_as_the_jaccard_similarity_says():
    texts = random_texts(1000)
    changed = [f"{text[:30]}x{text[31:]}" for text in texts]
    shared = (signatures(texts) == signatures(changed)).any(1).mean()
    grams = [{text[place : place + 4] for place in range(len(text) - 3)} for text in texts + changed]
    jaccard = np.array([len(a & b) / len(a | b) for a, b in zip(grams[:1000], grams[1000:], strict=True)])
    assert shared == pytest.approx((1 - (1 - jaccard**4) ** BANDS).mean(), abs=0.02)
    assert not (signatures(texts) == signatures(texts[::-1])).any(1)[:400].any()


def test_candidates_are_found_across_files_and_bounded(tmp_path):
    texts = random_texts(3000)
    texts[2500] = texts[7].replace(" ", "  ", 1)
    index = NearIndex(tmp_path / "near")
    for start in range(0, 3000, 700):
        index.add(range(start + 1, start + 701)[: len(texts[start : start + 700])], texts[start : start + 700])
    pairs = {tuple(pair) for part in index.candidates(2000) for pair in part.tolist()}
    assert (8, 2501) in pairs and len(pairs) < 10
    same = NearIndex(tmp_path / "same")
    same.add(range(1, 5001), ["all of these texts are the same"] * 5000)
    count = sum(len(part) for part in same.candidates(4001))
    assert count <= BANDS * (4000 * 3 + 1000 * (HELD_OUT_NEIGHBORS + 1))
