"""Text that looks like a token of SentencePiece, of fairseq or of ours is text, whatever the vocabulary."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from fairseq.utils import replace_unk
from odd_text import EVERY

from s2s_plugin.text.codec import PairCodec
from s2s_plugin.text.normalize import SPACE, normalize
from s2s_plugin.text.retrieval import Retrieval
from s2s_plugin.text.vocabulary import SubwordConfig, learn_codec

LITERALS = ["<s>", "</s>", "<unk>", "<pad>", "<0x41>", "@@", "▁", "▅", "⁇", "<2de>", "<copy0>", "<turn>", "<retrieved>"]
LINES = [
    *LITERALS,
    *(f"a{literal}b {literal} c" for literal in LITERALS),
    "<s><s></s> <unk><0x41><0x0A>",
    "in @@ the@@ end",
    "▁▁ x▁ ▁y",
    "a<copy0> <copy1><copy0>",
]
KINDS = [
    *({"kind": kind, "joint": joint} for kind in ("unigram", "bpe", "char", "word") for joint in (True, False)),
    *({"kind": kind, "lossless": True} for kind in ("unigram", "bpe", "char")),
    {"kind": "unigram", "target_kind": "word", "joint": False},
    {"kind": "word", "joint": False, "copy_slots": 3},
    {"kind": "bpe", "joint": True, "copy_slots": 3},
]


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: "-".join(map(str, kind.values())))
def codec(request, tmp_path_factory) -> PairCodec:
    """Of a corpus with such text on both sides, in which sources have a tag, as those of several directions."""
    sides = {"en": [f"<2de> {line}" for line in LINES] * 5, "de": LINES * 5}
    return learn_codec(SubwordConfig(size=400, **request.param), tmp_path_factory.mktemp("codec"), sides, ["<2de>"])


def test_what_is_written_comes_back(codec: PairCodec):
    """Through the ids of the dictionary, as a model that copies would return it."""
    dictionary = codec.target.dictionary()
    for line in LINES:
        tokens = codec.encode_target(line, f"<2de> {line}")
        ids = dictionary.encode_line(tokens, add_if_not_exist=False, append_eos=False)
        assert dictionary.unk() not in ids, line
        assert min(ids) > dictionary.unk(), line
        assert codec.fill(codec.decode(tokens), f"<2de> {line}") == line


def test_no_text_becomes_a_control_token(codec: PairCodec):
    assert codec.source is not None
    dictionary = codec.source.dictionary(["<copy0>", "<copy1>", "<copy2>"])
    tags = {dictionary.index("<2de>"), dictionary.index("▁<2de>")} - {dictionary.unk()}
    for line in [*LINES, "ж<s>ж</s>", "жж<unk> ж<pad>", "жж<copy0>", "ж <2de>"]:
        ids = dictionary.encode_line(codec.encode(f"<2de> {line}"), add_if_not_exist=False, append_eos=False).tolist()
        assert sum(number in tags for number in ids) == 1 and tags & set(ids[:2]), line
        assert not {dictionary.bos(), dictionary.eos(), dictionary.pad()} & set(ids), line


def test_retrieved_targets_and_replaced_words_stay_text(tmp_path: Path):
    """A retrieved target with such text comes back, and so does such a word that replaces an unknown one."""
    sides = {"en": LINES * 5, "de": LINES * 5}
    codec = learn_codec(SubwordConfig(kind="word", size=400), tmp_path, sides, ["<retrieved>"])
    codec.retrieval = Retrieval(list(zip(LINES, LINES, strict=True)))
    for line in LINES:
        assert codec.retrieved(codec.encode("a new text", line)) in {*LINES, ""}
        tokens = codec.encode(line).rpartition(" <retrieved> ")
        assert codec.retrieved(codec.encode(line)) == codec.retrieval.target(line)
        words = [word.removeprefix(SPACE) for word in tokens[2].split()]
        unknown = ["<unk>"] * len(words)
        replaced = replace_unk(" ".join(unknown), " ".join(words), list(range(len(words))), {}, "<unk>")
        assert codec.decode(replaced) == line


@pytest.mark.parametrize("kind", ["unigram", "bpe", "char", "word"])
def test_a_vocabulary_that_has_never_seen_it(tmp_path: Path, kind: str):
    """Made of plain text; what it cannot spell is unknown, and its letters come back where slots copy them."""
    lines = ["un pad kcopy 0123 x41", "< / > @@ de turn ⁇"] * 5
    codec = learn_codec(
        SubwordConfig(kind=kind, size=100, joint=False, copy_slots=5), tmp_path, {"en": lines, "de": lines}
    )
    for line in LINES:
        tokens = codec.encode_target(line, line)
        assert not {"<s>", "</s>", "<unk>", "<pad>"} & set(tokens.split())
        if kind == "word":
            assert codec.fill(codec.decode(tokens), line) == line


@pytest.mark.parametrize("lossless", [False, True])
def test_ten_thousand_odd_lines(tmp_path: Path, lossless: bool):
    """A line for each, in order, the same as normalized text, or the same as given; twice the same."""
    draw = random.Random(3)
    lines = ["".join(draw.choices([*EVERY, *"   abc", *LITERALS], k=draw.randint(0, 12))) for _ in range(10_000)]
    lines = [line.replace("\n", " ").replace("\r", " ") for line in lines]
    if lossless:
        lines = [line.encode("utf-8", "ignore").decode() for line in lines]
    subword = SubwordConfig(kind="char", size=60_000, lossless=lossless)
    codec = learn_codec(subword, tmp_path, {"en": lines, "de": lines})
    for line in lines:
        expected = line if lossless else normalize(line)
        assert codec.target.decode(codec.target.encode(line)) == expected
        assert normalize(normalize(line)) == normalize(line)
