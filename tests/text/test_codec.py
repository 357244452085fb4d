"""Text to tokens and back: nothing is lost but what normalization takes; ids are SentencePiece's."""

from __future__ import annotations

import json
import random
import unicodedata

import pytest
import sentencepiece
from fairseq.data import Dictionary

from s2s_plugin.corpora.cleaning import clean_text
from s2s_plugin.errors import UserError
from s2s_plugin.text.characters import character_name, dropped
from s2s_plugin.text.codec import PairCodec, TextCodec
from s2s_plugin.text.normalize import normalize, strip_case_and_punctuation
from s2s_plugin.text.vocabulary import SubwordConfig, learn_codec

SENTENCES = [
    "The quick brown fox jumps over the lazy dog.",
    "She sells sea shells; he didn't buy 1,234.50 of them!",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
    "Übergröße, Straße, Äpfel und Öl: „Weißt du’s?“",
    "다람쥐 헌 쳇바퀴에 타고파.",
    "키스의 고유조건은 입술끼리 만나야 하고 특별한 기술은 필요치 않다.",
    "값싼 닭볶음탕을 앉아서 읊조리며 핥았다",
    "👩‍💻 👨‍👩‍👧 🇰🇷 ❤️ 👍🏽 naïve café",
    "می‌خواهم کتاب‌ها را بخوانم",
    "ｆｕｌｌ ｗｉｄｔｈ　ﬁne ½ ㎏ ㈜",
    "<s> and </s> and <unk> and <pad> are words here",
]
ALPHABETS = [
    [chr(c) for c in range(0x20, 0x7F)],
    list("äöüßÄÖÜẞéèêñçøåœ„“‚‘–—…€ abcdefg "),
    [chr(c) for c in range(0xAC00, 0xD7A4, 97)] + [" "] * 30,
    list("👩💻👨👧🇰🇷❤👍🏽😀\u200d\ufe0f ab"),
    [chr(c) for c in (*range(0x1100, 0x1113), *range(0x1161, 0x1176), *range(0x11A8, 0x11C3))] + [" "] * 9,
    [chr(c) for c in range(0x300, 0x345)] + list("aeioucnAEIOUCN    "),
]
INVISIBLE = list(
    "\x00\x07\t\n\r\x0b\x1f\x7f\x85\u00a0\u00ad\u061c\u1680\u2003\u200b\u200e\u2028\u2029\u202e\u2060\ufeff\u3000"
)


def random_lines(count: int, dirt: bool) -> list[str]:
    rng, lines = random.Random(1), []
    for _ in range(count):
        line = rng.choices(rng.choice(ALPHABETS), k=rng.randint(0, 40))
        if rng.random() < 0.3:
            line += list(rng.choice(SENTENCES))
        for _ in range(rng.randint(0, 5) if dirt else 0):
            line.insert(rng.randint(0, len(line)), rng.choice(INVISIBLE))
        lines.append("".join(line))
    return lines


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """SentencePiece models of the sentences, for whole syllables (False) and for jamo (True)."""
    folder = tmp_path_factory.mktemp("spm")
    for jamo in (False, True):
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([normalize(line, jamo) for line in SENTENCES]),
            model_prefix=str(folder / f"{jamo}"),
            vocab_size=250,
            hard_vocab_limit=False,
            character_coverage=1.0,
            normalization_rule_name="identity",
            bos_id=0,
            pad_id=1,
            eos_id=2,
            unk_id=3,
            minloglevel=2,
        )
    return {jamo: folder / f"{jamo}.model" for jamo in (False, True)}


@pytest.fixture(params=[False, True], ids=["syllables", "jamo"])
def codec(models, request) -> TextCodec:
    return TextCodec(models[request.param], request.param)


# ---------------------------------------------------------------- normalize


@pytest.mark.parametrize("character", INVISIBLE, ids=lambda c: f"U+{ord(c):04X}")
def test_normalize_removes_what_cannot_be_seen(character):
    dropped = not character.isspace()
    assert normalize(f"a{character}b") == ("ab" if dropped else "a b")
    assert normalize(f"{character} a {character}{character} b{character}") == "a b"
    assert normalize(character) == ""


MEANINGFUL = {
    "joiners": "a\u200cb\u200dc",
    "Mongolian vowel separator": "\u182d\u1820\u180e\u1820",
    "Arabic and Syriac signs": "\u0600\u0661 \u06dd\u0662 \u070f\u0710 \u08e2",
    "a flag in tags": "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "private use": "\ue000 \uf8ff\U000f0000\U0010fffd",
    "newer than Unicode 14": "\U00010ec5 \U00016d40 \U0001e5d0 \U000323b0",
    "placeholder of an object": "\ufffc\ufffd",
    "zero-width space in Thai and Khmer": "\u0e01\u200b\u0e02 \u1780\u200b\u1781 \u0e01\u200bA",
    "SentencePiece's signs": "\u2581a \u2585",
}


@pytest.mark.parametrize("text", MEANINGFUL.values(), ids=MEANINGFUL)
def test_what_has_a_meaning_is_kept(text):
    assert normalize(text) == clean_text(text) == text
    assert not dropped(text)


@pytest.mark.parametrize("character", ["\ufdd0", "\ufdd3", "\uffff", "\U0010fffe", "\ud800", "\u2066", "\u206f"])
def test_training_and_translation_drop_the_same(character):
    text = f"a{character}b\u200bc\u200b \u0e01\u200b"
    assert normalize(text) == clean_text(text) == "abc \u0e01"
    assert dropped(text) == {character: 1, "\u200b": 3}


def test_characters_have_names():
    names = ["U+00AD SOFT HYPHEN", "U+FDD0 noncharacter", "U+0007 control character", "U+D800 surrogate"]
    assert [character_name(character) for character in "\xad\ufdd0\x07\ud800"] == names


def test_normalize_composes():
    assert normalize("u\u0308ber ﬁne ，２") == "über ﬁne ，２"
    assert normalize("\u1112\u1161\u11ab") == "한"
    assert normalize("한", jamo=True) == "\u1112\u1161\u11ab"


@pytest.mark.parametrize("invisible", ["\u00ad", "\u200b", "\ufeff"])
def test_normalize_composes_across_what_it_drops(invisible):
    """A soft hyphen or a zero-width space between a letter and its accent makes no second spelling."""
    assert normalize(f"e{invisible}\u0301") == "é"
    assert normalize(f"\u1112{invisible}\u1161") == "하"


@pytest.mark.parametrize("jamo", [False, True])
def test_normalize_is_idempotent_and_clean(jamo):
    for line in SENTENCES + random_lines(1500, dirt=True):
        once = normalize(line, jamo)
        assert normalize(once, jamo) == once
        assert "  " not in once
        assert once == once.strip()
        assert len(once.splitlines()) <= 1
        assert all(c == " " or unicodedata.category(c) not in ("Cc", "Zs", "Zl", "Zp") for c in once)
        assert unicodedata.is_normalized("NFD" if jamo else "NFC", once)


def test_jamo_needs_67_letters():
    letters = {letter for code in range(0xAC00, 0xD7A4) for letter in normalize(chr(code), jamo=True)}
    assert len(letters) == 67


# --------------------------------------------------------------- round trip


def test_decode_undoes_encode(codec):
    for line in SENTENCES + random_lines(1500, dirt=True):
        assert codec.decode(codec.encode(line)) == normalize(line)


def test_tokens_survive_a_text_file(codec, tmp_path):
    """One line a sentence, tokens between single spaces: what fairseq-preprocess reads."""
    lines = SENTENCES + random_lines(300, dirt=True)
    path = tmp_path / "train.xx"
    path.write_text("".join(codec.encode(line) + "\n" for line in lines), encoding="utf-8")
    with path.open(encoding="utf-8") as file:
        read = [line.strip().split() for line in file]
    assert read == [codec.pieces.encode(normalize(line, codec.jamo), out_type=str) for line in lines]


def test_sentencepieces_own_mark_is_text(tmp_path):
    lines = ["a▁b ▁", "▁▁ a b"] * 5
    codec = learn_codec(SubwordConfig(size=50), tmp_path, {"en": lines, "de": lines})
    for line in lines:
        assert codec.decode(codec.encode_target(line, line)) == line


# --------------------------------------------------------------------- ids


def test_ids_are_those_of_sentencepiece(codec, tmp_path):
    codec.dictionary().save(str(tmp_path / "dict.txt"))
    for dictionary in (codec.dictionary(), Dictionary.load(str(tmp_path / "dict.txt"))):
        size = codec.pieces.get_piece_size()
        assert len(dictionary) == size
        assert [dictionary[i] for i in range(size)] == [codec.pieces.id_to_piece(i) for i in range(size)]
        assert (dictionary.bos(), dictionary.pad(), dictionary.eos(), dictionary.unk()) == (
            codec.pieces.bos_id(),
            codec.pieces.pad_id(),
            codec.pieces.eos_id(),
            codec.pieces.unk_id(),
        )
        for line in SENTENCES + random_lines(200, dirt=False):
            ids = dictionary.encode_line(codec.encode(line), add_if_not_exist=False, append_eos=False).tolist()
            assert ids == codec.pieces.encode(normalize(line, codec.jamo))


def test_jamo_spells_unseen_syllables(models):
    """Every syllable of letters that were in the training text; whole syllables are unknown."""
    text = normalize(" ".join(SENTENCES), jamo=True)
    leads, vowels, tails = ([c for c in sorted(set(text)) if low <= c <= high] for low, high in ("ᄀᄒ", "ᅡᅵ", "ᆨᇂ"))
    spelled = [normalize(a + b + c) for a in leads for b in vowels for c in tails]
    unseen = [syllable for syllable in spelled if syllable not in " ".join(SENTENCES)]
    assert len(unseen) > 1000
    for jamo, expected in ((True, 0), (False, len(unseen))):
        codec = TextCodec(models[jamo], jamo)
        ids = [codec.pieces.encode(normalize(syllable, jamo)) for syllable in unseen]
        assert sum(codec.pieces.unk_id() in item for item in ids) == expected
        assert [codec.decode(codec.encode(syllable)) for syllable in unseen] == unseen


# -------------------------------------------------------------------- files


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Hello, don’t  SHOUT -- 'please'!", "hello don't shout please"),
        ("How are you? <turn> Fine.", "how are you <turn> fine"),
        ("<2de> A <b> x < y > z", "<2de> a <b> x y z"),
        ("ㅋㅋㅋ 안녕하세요~!! 1지망", "ㅋㅋㅋ 안녕하세요 1지망"),
        ("क्षत्रिय हिन्दी।", "क्षत्रिय हिन्दी"),
        ("???", "???"),
        ("Oh! <turn> 😊", "oh <turn> 😊"),
        ("... <turn> ?! <turn> No.", "... <turn> ?! <turn> no"),
        ("", ""),
    ],
)
def test_stripping_keeps_letters_digits_and_tags(text, read):
    assert strip_case_and_punctuation(text) == read
    assert strip_case_and_punctuation(read) == read


def test_sources_are_stripped_and_targets_are_not(models, tmp_path):
    for side in (True, False):
        (tmp_path / f"{side}.model").write_bytes(models[False].read_bytes())
    sides = {
        "turns": {"model": "True.model", "jamo": False, "strip": True},
        "reply": {"model": "False.model", "jamo": False},
    }
    (tmp_path / PairCodec.FILE).write_text(json.dumps(sides), encoding="utf-8")
    pair, codec = PairCodec.load(tmp_path, "turns", "reply"), TextCodec(models[False])
    assert pair.encode("She SELLS shells!") == codec.encode("she sells shells") != codec.encode("She SELLS shells!")
    assert pair.decode(pair.encode_target("She sells!", "?")) == "She sells!"


def test_pair_codec_loads_what_prepare_writes(models, tmp_path):
    assert PairCodec.load(tmp_path, "ko", "de") is None
    for jamo, path in models.items():
        (tmp_path / f"{jamo}.model").write_bytes(path.read_bytes())
    sides = {
        "ko": {"model": "True.model", "jamo": True},
        "de": {"model": "False.model", "jamo": False},
    }
    (tmp_path / PairCodec.FILE).write_text(json.dumps(sides), encoding="utf-8")
    pair = PairCodec.load(tmp_path, "ko", "de")
    assert pair.encode("다람쥐") == TextCodec(models[True], True).encode("다람쥐")
    assert pair.decode(TextCodec(models[False]).encode("Großer Deich")) == "Großer Deich"
    assert pair.target.jamo is False
    back = PairCodec.load(tmp_path, "de", "ko")  # the same corpus in the other direction
    assert back.encode("Großer Deich") == TextCodec(models[False]).encode("Großer Deich")
    assert back.target.jamo is True


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(UserError, match=r"gone\.model"):
        TextCodec(tmp_path / "gone.model")
