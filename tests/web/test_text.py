"""Text to tokens and back in the page: the same as in Python, for odd text of many scripts."""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path

import pytest
from node import NEEDS_NODE, run_module
from odd_text import EVERY, TEXTS, odd_texts

from s2s_plugin.stages.export.web_model import text_side
from s2s_plugin.text.codec import PairCodec
from s2s_plugin.text.normalize import match_key, normalize, strip_case_and_punctuation
from s2s_plugin.text.retrieval import RETRIEVED, Retrieval
from s2s_plugin.text.vocabulary import SubwordConfig, learn_codec

pytestmark = NEEDS_NODE

LINES = [
    "The quick brown fox jumps over the lazy dog; didn't it?",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich: „Weißt du’s?“",
    "다람쥐 헌 쳇바퀴에 타고파. 값싼 닭볶음탕을 앉아서 핥았다",
    "可是我今天没有时间，明天再说吧。 かな と カナ",
    "می‌خواهم کتاب‌ها را بخوانم ภาษาไทยไม่มีช่องว่าง",
    "👩‍💻 👨‍👩‍👧 🇰🇷 ❤️ naïve café İstanbul ΣΊΣΥΦΟΣ",
    "<s> and </s> and <unk>, <pad>, <0x41>, <copy1> are words <2de> here <turn> <retrieved>",
    "for (int i = 0; i < 10; i++) {  total += a[i];  }",
    "aaaa aaa aa a ab abab ababab 1,234.50 0x7fff",
]
KINDS = {
    "unigram": {"kind": "unigram", "size": 200},
    "bpe": {"kind": "bpe", "size": 200},
    "char": {"kind": "char", "size": 60, "jamo": True, "joint": False},
    "word": {"kind": "word", "size": 60, "copy_slots": 3},
    "lossless": {"kind": "unigram", "size": 500, "lossless": True},
    "lossless_bpe": {"kind": "bpe", "size": 500, "lossless": True},
    "stripped": {"kind": "unigram", "size": 150, "normalize_source": True, "special_tokens": ["<turn>"]},
}
ENCODE = """
import { Codec, unescape } from "./text/codec.js";
const run = ({ codec, texts }) => {
  const made = new Codec(codec);
  return texts.map((text) => {
    const source = made.encode(text);
    const target = made.target.encode(made.target.lossless ? unescape(text) : text, made.slots(text));
    return [source, target, made.fill(made.decode(target), text)];
  });
};
"""


def hard_texts() -> list[str]:
    rng = random.Random(2)
    characters = [*"".join(LINES), *rng.sample(EVERY, 200), *" " * 100]
    mixed = ["".join(rng.choices(characters, k=rng.randint(1, 40))) for _ in range(60)]
    return [text.encode(errors="replace").decode() for text in (*LINES, *TEXTS, *odd_texts(60), *mixed)]


@pytest.mark.parametrize(
    "kind", ["unigram", *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS if kind != "unigram")]
)
def test_tokens_and_text_are_those_of_python(kind: str, tmp_path: Path):
    sides = {"en": LINES * 3, "de": [line.lower() for line in LINES] * 3}
    codec = learn_codec(SubwordConfig(**KINDS[kind]), tmp_path, sides, ["<2de>"] if kind == "bpe" else [])
    texts = hard_texts()
    found = run_module(ENCODE, {"codec": text_side(tmp_path, "en", "de"), "texts": texts})
    for text, (source, target, back) in zip(texts, found, strict=True):
        tokens = codec.encode_target(text, text)
        expected = codec.encode(text).split(" "), tokens.split(" "), codec.fill(codec.decode(tokens), text)
        assert (" ".join(source).split(" "), " ".join(target).split(" "), back) == expected, ascii(text)


def test_broken_bytes_and_unknown_tokens(tmp_path: Path):
    codec = learn_codec(SubwordConfig(kind="unigram", size=500, lossless=True), tmp_path, {"en": LINES, "de": LINES})
    rows = ["<0xE2> <0x82>", "a <0xFF> <0xC3> <0xA9> b", "<0xEF> <0xBB> <0xBF> x", "<unk> y", "\u25b5 <s> z"]
    code = """import { Codec } from "./text/codec.js";
        const run = ({ codec, rows }) => rows.map((row) => new Codec(codec).decode(row.split(" ")));"""
    found = run_module(code, {"codec": text_side(tmp_path, "en", "de"), "rows": rows})
    assert found == [codec.decode(row.replace("<s> ", "")) for row in rows]


@pytest.mark.slow
def test_normalization_of_every_character():
    """Save for Cherokee, whose lower case is its new one, and for characters newer than one of the two's Unicode."""
    known = [c for c in map(chr, range(0x20000)) if unicodedata.category(c) not in ("Cs", "Cn", "Co")]
    texts = [f"a{character}b {character}" for character in known if "CHEROKEE" not in unicodedata.name(character, "")]
    code = """import { matchKey, normalize, stripCaseAndPunctuation } from "./text/normalize.js";
        const run = (texts) => texts.map((text) => [normalize(text), normalize(text, true),
          stripCaseAndPunctuation(text), matchKey(text)]);"""
    found = run_module(code, texts)
    expected = [
        [normalize(text), normalize(text, True), strip_case_and_punctuation(text), match_key(text)] for text in texts
    ]
    assert [ascii(pair) for pair in zip(found, expected, strict=True) if pair[0] != pair[1]] == []


@pytest.mark.slow
def test_retrieved_targets_are_those_of_python(tmp_path: Path):
    pairs = [
        (line, f"reply {number}") for number, line in enumerate([*LINES, "hi <turn> how are you?", "How are  you"])
    ]
    sides = {"en": [source for source, _ in pairs], "de": [target for _, target in pairs]}
    learn_codec(SubwordConfig(kind="unigram", size=200), tmp_path, sides, [RETRIEVED])
    Retrieval(pairs).save(tmp_path, "en", "de")
    codec = PairCodec.load(tmp_path, "en", "de")
    assert codec is not None
    texts = ["how are you", "Weißt du das?", "the dog", "nothing <turn> is like it", "xyzzy", "你好 今天"]
    found = run_module(ENCODE, {"codec": text_side(tmp_path, "en", "de"), "texts": texts})
    assert [" ".join(source) for source, *_ in found] == [codec.encode(text) for text in texts]
