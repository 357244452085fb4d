"""Programs to tokens and back, exactly: real files of this machine, and odd text; also through fairseq's ``--bpe``."""

from __future__ import annotations

import json
import random
import sysconfig
from pathlib import Path

import pytest
import sentencepiece
from fairseq import options
from fairseq.data import Dictionary, encoders
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from odd_text import EVERY, TEXTS, odd_texts

from s2s_plugin.text.codec import CodeCodec, PairCodec
from s2s_plugin.text.escape import NEWLINE, TAB, escape, to_line
from s2s_plugin.text.vocabulary import LOSSLESS_OPTIONS

KINDS = ("unigram", "bpe", "char")
SCRIPTS = [Path("/usr/bin"), Path("/usr/share"), Path("/etc")]


def python_files(count: int) -> list[Path]:
    library = Path(sysconfig.get_paths()["stdlib"])
    return random.Random(1).sample(sorted(library.glob("*.py")) + sorted(library.glob("test/*.py")), count)


def shell_scripts(count: int) -> list[Path]:
    found = []
    for path in (path for folder in SCRIPTS for path in sorted(folder.glob("*"))):
        if path.is_file() and path.open("rb").read(9) == b"#!/bin/sh" and len(found) < count:
            found.append(path)
    return found


def read(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "surrogateescape")


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    """Models of each kind, trained from a few modules of the standard library."""
    folder = tmp_path_factory.mktemp("spm")
    lines = [escape(line) for path in python_files(200)[:8] for line in read(path).splitlines(keepends=True)[:500]]
    for kind in KINDS:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_prefix=str(folder / kind),
            model_type=kind,
            vocab_size=800,
            hard_vocab_limit=False,
            character_coverage=1.0,
            user_defined_symbols=[NEWLINE, TAB],
            normalization_rule_name="identity",
            bos_id=0,
            pad_id=1,
            eos_id=2,
            unk_id=3,
            max_sentence_length=1_000_000,
            minloglevel=2,
            **LOSSLESS_OPTIONS,
        )
    return {kind: folder / f"{kind}.model" for kind in KINDS}


@pytest.fixture(params=KINDS)
def codec(models, request) -> CodeCodec:
    return CodeCodec(models[request.param])


def test_source_files_line_by_line_and_whole(codec):
    files = python_files(12) + shell_scripts(40)
    assert len(files) > 20
    for path in files:
        text = read(path)
        assert codec.decode(codec.encode(text)) == text, path
        for line in random.Random(1).sample(text.splitlines(keepends=True), 20 if len(text) > 2000 else 1):
            assert codec.decode(codec.encode(line)) == line, path


def test_any_text(codec):
    literal = [
        "<s> </s> <pad> <unk> <0x41><0xE2> madeupword0000",
        "<copy0> ⁇ ▁▁ \\▁",
        "'\"`\\' $'\\t'",
        "\ufeff#!/bin/sh",
    ]
    for text in [*TEXTS, *literal, *EVERY[::7], *odd_texts(1500)]:
        assert codec.decode(codec.encode(text)) == text


def test_tokens_survive_fairseqs_files(codec, tmp_path):
    """Tokens have no white space in them, and all are in the dictionary: nothing is unknown."""
    dictionary = codec.dictionary()
    dictionary.save(str(tmp_path / "dict.txt"))
    dictionary = Dictionary.load(str(tmp_path / "dict.txt"))
    for text in [*TEXTS, *odd_texts(500)]:
        ids = dictionary.encode_line(codec.encode(text), add_if_not_exist=False)
        assert dictionary.unk() not in ids
        assert codec.decode(dictionary.string(ids)) == text


def test_indentation_is_few_tokens(models):
    codec = CodeCodec(models["unigram"])
    assert len(codec.encode("        ").split()) < 8
    assert codec.encode("\n\t").split() == [NEWLINE, TAB]


def test_what_is_no_utf8_can_be_read(codec):
    assert codec.decode("<0xE2> a <0x41>") == "\ufffdaA"


# -------------------------------------------------------------- in fairseq


def test_fairseqs_bpe_reads_and_writes_lines(models, old_hydra):
    words = ["x", "--task", "s2s", "--bpe", "s2s_code", "--code-model", str(models["bpe"])]
    args = options.parse_args_and_arch(options.get_generation_parser(), words)
    bpe = encoders.build_bpe(convert_namespace_to_omegaconf(args).bpe)
    for text in [*TEXTS, *odd_texts(300), *map(read, shell_scripts(3))]:
        line = to_line(text)
        assert bpe.decode(bpe.encode(line)) == line
    assert bpe.encode("a↵b") == CodeCodec(models["bpe"]).encode("a\nb")


def test_pair_codec_reads_and_writes_lines(models, tmp_path):
    (tmp_path / "spm.model").write_bytes(models["unigram"].read_bytes())
    side = {"model": "spm.model", "jamo": False, "lossless": True, "copy_slots": 0}
    (tmp_path / PairCodec.FILE).write_text(json.dumps({"en": side, "py": side}), encoding="utf-8")
    pair = PairCodec.load(tmp_path, "en", "py")
    program = "def f(x):\n\n    return  x ▁\n"
    line = to_line(program)
    assert pair.decode(pair.encode_target(line, "a function")) == line
    assert pair.encode_target(line, "a function") == pair.encode(line) == pair.target.encode(program)
    assert pair.fill(line, "a function") == line
