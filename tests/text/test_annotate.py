"""Factors and tags that taggers make: the values, the command, and models that read and write them."""

from __future__ import annotations

import sys
import tracemalloc
from pathlib import Path

import pytest
from command_line import call

from s2s_plugin.cli.annotate import run
from s2s_plugin.errors import UserError
from s2s_plugin.text import annotate as annotation
from s2s_plugin.text.annotate import annotate_line, case
from s2s_plugin.text.codec import PairCodec
from s2s_plugin.text.factors import split_factors
from s2s_plugin.text.vocabulary import SubwordConfig, learn_codec

ALL = ("pos", "lemma", "morph", "case")
pytest.importorskip("HanTa", reason="requires the extra structure")
pytest.importorskip("kiwipiepy", reason="requires the extra structure")


@pytest.mark.parametrize(
    "language, text, expected",
    [
        ("de", "Die Häuser wurden verkauft.", "Die|ART|der|-|title Häuser|NN|Haus|er|title "
         "wurden|VA(FIN)|werden|en|lower verkauft.|VV(PP)|verkaufen|t|lower"),
        ("en", 'They weren\'t "sold".', "They|PNP|they|-|title weren't|VBD|be|-|lower \"sold\".|VVN|sell|-|lower"),
        ("ko", "친구를 만났습니다.", "친구를|NNG|친구|NNG+JKO|none 만났습니다.|VV|만나다|VV+EP+EF+SF|none"),
        ("ko", "😀 집들이 LibreOffice에서", "😀|W_EMOJI|😀|W_EMOJI|none 집들이|NNG|집|NNG+XSN+JKS|none "
         "LibreOffice에서|SL|LibreOffice|SL+JKB|mixed"),
    ],
)  # fmt: skip
def test_values_by_hand(language: str, text: str, expected: str):
    assert annotate_line(text, ALL, language) == expected


@pytest.mark.parametrize(
    "word, expected",
    [("an", "lower"), ("An", "title"), ("I", "title"), ('"Ja!"', "title"), ("NATO", "upper"), ("iPhone", "mixed"),
     ("3.5", "none"), ("가", "none"), ("ß", "lower"), ("É", "title")],
)  # fmt: skip
def test_case(word: str, expected: str):
    assert case(word) == expected


@pytest.mark.parametrize("language", ["de", "en", "ko"])
def test_any_text_keeps_its_words_and_can_be_read(language: str):
    """Also signs, the separator itself, and letters that no tagger knows."""
    text = "| a|b -- :-) \u200d \ufe0f ``x'' 1,000.5 e-mail https://a.b/c?d=e 东西 किताब Ⅳ ' n't 's ㅋㅋㅋ ᆫ"
    words, values = split_factors(annotate_line(text, ALL, language), ALL)
    assert words == text.split()
    assert all(len(row) == len(ALL) and all(row) for row in values)
    assert annotate_line("", ALL, language) == ""


def test_mistakes_are_one_line(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UserError, match=r"factors must be among pos, lemma, morph, case, got tense"):
        annotate_line("a", ("tense",), "de")
    with pytest.raises(UserError, match=r"require a text in de, en, ko, got fr"):
        annotate_line("a", ("pos",), "fr")
    assert annotate_line("Ça", ("case",), "fr") == "Ça|title"
    with pytest.raises(UserError, match=r"--language is required with standard input"):
        run(["--factors", "pos"])
    monkeypatch.setitem(sys.modules, "HanTa.HanoverTagger", None)  # as if it were not installed
    annotation._tagger.cache_clear()
    with pytest.raises(UserError, match=r"not installed .*: pip install 's2s-plugin\[structure\]'"):
        annotate_line("b", ("pos",), "de")


def test_the_command_prints_a_line_for_each_line(tmp_path: Path):
    (tmp_path / "my.de").write_bytes("Ein Haus.\n\nalte  Häuser\n".encode() + b"\xff\n")
    printed = call("s2s annotate my.de --factors pos,case", cwd=tmp_path, check=False)
    assert printed.stdout == "Ein|ART|title Haus.|NN|title\n\nalte|ADJ(A)|lower Häuser|NN|title\n\n"
    assert "my.de, line 4: byte 1 is not UTF-8" in printed.stderr
    assert printed.returncode == 2
    assert call("s2s annotate --factors case", cwd=tmp_path, stdin="An ICE\n").stdout == "An|title ICE|upper\n"


def test_memory_does_not_grow_with_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    peaks = []
    for count in (1_000, 15_000):
        (tmp_path / "my.fr").write_text("".join(f"Une phrase {number}\n" for number in range(count)))
        with (tmp_path / "out").open("w") as out:
            monkeypatch.setattr(sys, "stdout", out)
            tracemalloc.start()
            assert run(["--factors", "case", str(tmp_path / "my.fr")]) == 0
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < peaks[0] + 100_000  # the longer text itself has three times as many bytes


def subword(**options) -> SubwordConfig:
    return SubwordConfig(kind="char", size=60, **options)


LINES = {"de": ["Das alte Haus ist rot.", "Die alten Häuser sind rot."] * 2, "en": ["The house.", "Old houses."] * 2}


def test_codec_annotates_sources_and_tags_targets(tmp_path: Path):
    """A stored codec does so, too; tags are removed from outputs, text like a tag is not."""
    learn_codec(subword(annotate=["pos", "case"], target_tags=["pos"]), tmp_path, LINES)
    codec = PairCodec.load(tmp_path, "de", "en")
    assert codec is not None
    read = "".join(f"{letter} pos=ART case=title " for letter in "▁Das")
    read += "".join(f"{letter} pos=NN case=title " for letter in "▁Haus")
    assert codec.encode("Das Haus") == read.rstrip()
    encoded = codec.encode_target("Old houses", "")
    assert encoded == "pos=AJ0 ▁ O l d pos=NN2 ▁ h o u s e s"
    assert codec.decode(encoded) == "Old houses"
    literal = codec.encode_target("pos=NN2 houses", "")
    assert codec.decode(literal) == "pos=NN2 houses"
    assert {token for token in literal.split() if token.startswith("pos=")} <= set(codec.target.dictionary().symbols)
    with pytest.raises(UserError, match="en tags; reverse the direction"):
        PairCodec.load(tmp_path, "en", "de")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"factors": ["a"], "annotate": ["pos"]}, "subword.factors and subword.annotate are mutually exclusive"),
        ({"normalize_source": True, "annotate": ["pos"]}, "normalize_source and factors are mutually exclusive"),
        ({"lossless": True, "target_tags": ["pos"]}, "subword.lossless and subword.jamo, factors, annotate"),
        ({"annotate": ["tense"]}, "factors must be among"),
    ],
)
def test_what_excludes_annotation(tmp_path: Path, options: dict, message: str):
    with pytest.raises(UserError, match=message):
        learn_codec(subword(**options), tmp_path, LINES)


def test_a_rare_value_is_unknown(tmp_path: Path):
    lines = {"de": ["Haus Baum Haus", "Haus gehen"], "en": ["a", "b"]}
    codec = learn_codec(subword(annotate=["lemma"]), tmp_path, lines)
    assert codec.source is not None
    assert codec.source.factors == {"lemma": ["Haus"]}


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of plain files that reads factors and writes tags: words in capitals stay, others are doubled."""
    folder = tmp_path_factory.mktemp("tagged")
    words = [a + b for a in "abcde" for b in "xyz"]
    pairs = [(f"{one.title()} {two}", f"{one.title()} {two}{two}") for one in words for two in words]
    for side, suffix in enumerate(("en", "de")):
        (folder / f"my.{suffix}").write_text("".join(f"{pair[side]}\n" for pair in pairs), encoding="utf-8")
    call(
        "s2s run app=nmt metrics=[s2s_exact] data.source=my.en data.target=my.de model=tiny subword.size=40 "
        "model.share_all_embeddings=true subword.annotate=[case,pos] subword.target_tags=[case] "
        "dataset.max_tokens=2000 optimization.max_update=20",
        cwd=folder,
    )
    return folder


def test_a_run_annotates_by_itself(tagged: Path):
    commands = (tagged / "runs/nmt/default/commands.txt").read_text(encoding="utf-8")
    assert "--encoder-factors 2" in commands
    assert "--share-all-embeddings" in commands  # one vocabulary, in spite of factors on one side and tags on the other
    pieces = next((tagged / "data-bin").glob("files.en-de.*")) / "pieces/test.de"
    assert pieces.read_text(encoding="utf-8").split()[0] == "case=title"
    said = call("s2s translate app=nmt generation.print_alignment=hard", cwd=tagged, stdin="Ax by\n").stdout
    assert "=" not in said.splitlines()[0].split("\t")[2]
