"""A mistake of the user's: one line that names it, exit code 2, nothing half-written."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from command_line import call
from mistakes import TINY, mistake


def lines(*texts: str | bytes) -> bytes:
    return b"".join((text.encode() if isinstance(text, str) else text) + b"\n" for text in texts)


GOOD = lines("one two", "three four", "five six")
FILES = {
    "sides of different length": (GOOD, lines("eins zwei"), ("my.en has 3 lines", "my.de has 1")),
    "empty file": (b"", GOOD, ("my.en", "empty", "one sentence per line")),
    "empty line": (GOOD, lines("eins", "", "drei"), ("my.de:2", "empty", "skip")),
    "long line": (GOOD, lines("eins", "zwei", "x " * 100_000), ("my.de:3", "got 200,000", "split it")),
    "not UTF-8": (lines("one", b"caf\xe9", "three"), GOOD, ("my.en:2", "byte 4", "UTF-8", "iconv")),
}


@pytest.mark.parametrize("case", FILES)
def test_bad_text(tmp_path: Path, case: str):
    source, target, named = FILES[case]
    (tmp_path / "my.en").write_bytes(source)
    (tmp_path / "my.de").write_bytes(target)
    mistake(tmp_path, "s2s prepare app=nmt data=files data.source=my.en data.target=my.de", *named)
    assert not list((tmp_path / "data-bin").glob("files*/prepared.json"))


def test_bad_lines_can_be_skipped(tmp_path: Path):
    words = [f"word{i} other{i * 7}" for i in range(300)]
    (tmp_path / "my.en").write_bytes(lines(*words, b"caf\xe9", "", "last\u2028 o\0ne"))
    (tmp_path / "my.de").write_bytes(lines(*words, "kaffee", "leer", "der letzte"))
    done = call("s2s prepare app=nmt data=files data.source=my.en data.target=my.de data.on_bad_item=skip "
                "subword.size=60", cwd=tmp_path)  # fmt: skip
    assert "303 pairs read, 301 kept, 2 left out" in done.stderr
    assert "1 unusable: my.en:301" in done.stderr and "1 with an empty side: my.en:302" in done.stderr
    assert "characters without meaning dropped: U+0000 control character: 1" in done.stderr
    texts = [path.read_text() for path in (tmp_path / "data-bin").glob("files*/text/*.en")]
    assert sum("last one\n" in text for text in texts) == 1


OWN = {
    "a recipe with files": ("data=ding data.source=my.en data.target=my.de", ("data.source requires data=files",)),
    "a recipe with a manifest": ("data=ding data.manifest=my.tsv", ("data.manifest requires data=manifest",)),
    "a recipe with a table": ("data=ding data.pairs=my.csv", ("data.pairs requires data=files, got data=ding",)),
    "two choices": ("data.pairs=my.csv data.source=my.en data.target=my.de", ("mutually exclusive",)),
    "held-out pairs alone": ("data=files data.valid_pairs=my.csv", ("requires data.source=FILE", "data.pairs=FILE")),
    "one side": ("data=files data.source=my.en", ("data=files requires data.source=FILE and data.target=FILE",)),
    "the same file twice": (
        "data=files data.source=my.en data.target=my.en data.source_lang=en data.target_lang=de",
        ("the source and the target must differ, got the same 60 lines twice",),
    ),
    "a table": ("data=files data.source=my.csv data.target=my.de", ("my.csv", "table", "docs/data.md")),
    "a table as a held-out side": (
        "data.source=my.en data.target=my.de data.test_source=my.csv data.test_target=my.de",
        ("my.csv", "data.pairs=my.csv"),
    ),
    "a table alone": ("data.source=my.csv", ("my.csv", "data.pairs=my.csv")),
    "a table by its content": ("data.source=my.txt", ("100% of the lines have 1 tab", "data.pairs=my.txt")),
    "a table by its content, twice": (
        "data.source=my.txt data.target=my.txt data.source_lang=en data.target_lang=de",
        ("got the same 2 lines twice",),
    ),
    "the same file, spelled otherwise": (
        "data.source=my.en data.target=./my.en data.source_lang=en data.target_lang=de",
        ("lines twice",),
    ),
    "the same file, through a link": (
        "data.source=my.en data.target=link.de",
        ("the source and the target must differ",),
    ),
    "the same content": ("data.source=my.en data.target=copy.de", ("the source and the target must differ",)),
    "the same content, compressed": ("data.source=my.en data.target=copy.de.gz", ("my.en", "lines twice")),
    "held-out sides that are the same": (
        "data.source=my.en data.target=my.de data.valid_source=my.en data.valid_target=copy.de",
        ("the source and the target must differ",),
    ),
    "extra sides that are the same": (
        "data.source=my.en data.target=my.de data.extra_source=my.en data.extra_target=link.de",
        ("the source and the target must differ",),
    ),
    "one of several": (
        "data.source=my.en data.target=[my.de,link.de]",
        ("the source and the target must differ",),
    ),
}


@pytest.mark.parametrize("case", OWN)
def test_files_that_the_corpus_does_not_read(tmp_path: Path, case: str):
    some = lines(*(f"word {number} other" for number in range(60)))
    for name in ("my.en", "my.csv", "copy.de"):
        (tmp_path / name).write_bytes(some)
    (tmp_path / "my.de").write_bytes(some.replace(b"other", b"anders"))
    (tmp_path / "my.txt").write_bytes(lines("one\teins", "two\tzwei"))
    (tmp_path / "copy.de.gz").write_bytes(gzip.compress(some))
    (tmp_path / "link.de").symlink_to("my.en")
    overrides, named = OWN[case]
    mistake(tmp_path, f"s2s prepare app=nmt {overrides}", *named)


@pytest.mark.parametrize("names", [("my.txt", "other.txt"), ("my", "my.de"), ("my", "other")], ids=" ".join)
def test_languages_that_the_names_do_not_tell(tmp_path: Path, names: tuple[str, str]):
    for name, text in zip(names, (GOOD, GOOD.upper()), strict=True):
        (tmp_path / name).write_bytes(text)
    files = f"data.source={names[0]} data.target={names[1]}"
    mistake(tmp_path, f"s2s prepare app=nmt data=files {files}", "must differ", "data.source_lang=en")


def test_one_overlong_pair_is_left_out(tmp_path: Path):
    words = [f"word{i} other{i * 7}" for i in range(300)]
    for suffix, last in (("en", "x y "), ("de", "y x ")):
        (tmp_path / f"my.{suffix}").write_bytes(lines(*words, last * 900))
    done = call("s2s prepare app=nmt data=files data.source=my.en data.target=my.de subword.size=60", cwd=tmp_path)
    assert "1 longer than 1,000 tokens (data.max_length): my.en:301\n" in done.stderr


def test_windows_files_and_spaces_in_names(tmp_path: Path):
    """A byte order mark, CRLF, and folders and files with spaces."""
    own = "data=files|data.source=my own.en|data.target=my own.de|prepared_dir=my data|run_dir=my run"
    words = [f"word{i} other{i * 7}" for i in range(300)]
    for suffix in ("en", "de"):
        text = "\ufeff" + "\r\n".join([*words, f"in {suffix}"]) + "\r\n"
        (tmp_path / f"my own.{suffix}").write_bytes(text.encode())
    call(["s2s", "run", "app=nmt", *own.split("|"), *TINY.split()], cwd=tmp_path)
    text = next((tmp_path / "my data").glob("files*/text/train.en")).read_bytes()
    assert b"\r" not in text and "\ufeff".encode() not in text
    assert (tmp_path / "my run" / "report.html").is_file()


def test_missing_file(tmp_path: Path):
    (tmp_path / "my.en").write_bytes(GOOD)
    mistake(
        tmp_path, "s2s prepare app=nmt data=files data.source=my.en data.target=mine.de", "mine.de", "check the name"
    )


def test_folder_that_cannot_be_written(tmp_path: Path, own_files: Path):
    (tmp_path / "file").write_text("")
    files = f"data=files data.source={own_files}/letters.en data.target={own_files}/letters.de"
    mistake(
        tmp_path, f"s2s prepare app=nmt {files} prepared_dir=file/x", "file/x", "cannot be written", "prepared_dir="
    )
    mistake(tmp_path, f"s2s prepare app=nmt {files} run_dir=file/x", "file/x", "run_dir=")


CONFIG = {
    "unknown stage": ("s2s trian app=nmt", ("trian", "did you mean train")),
    "no app": ("s2s train", ("app",)),
    "unknown app": ("s2s train app=ntm", ("app=ntm", "did you mean nmt")),
    "unknown model": ("s2s train app=nmt model=tinny", ("model=tinny", "did you mean tiny")),
    "unknown experiment": ("s2s run experiment=multi3k", ("experiment=multi3k", "did you mean multi30k")),
    "unknown group": ("s2s run app=nmt modle=base", ("no option modle", "did you mean model?")),
    "one of a sweep": ("s2s run -m app=nmt model=tiny,bas", ("model=bas", "did you mean base")),
    "folder as a checkpoint": ("s2s average . --to mean.pt", ("must be a file, got a folder",)),
    "unknown data": ("s2s train app=nmt data=multi30", ("data=multi30", "did you mean multi30k")),
    "unknown key": ("s2s train app=nmt model.dropuot=0.1", ("model.dropuot", "did you mean model.dropout")),
    "unknown fairseq key": (
        "s2s train app=nmt dataset.max_tokenz=1",
        ("dataset.max_tokenz", "did you mean dataset.max_tokens"),
    ),
    "wrong type": ("s2s train app=nmt model.encoder_layers=many", ("many", "encoder_layers")),
    "wrong choice": ("s2s train app=nmt task.eval_metric=blue", ("blue", "bleu")),
    "longer than a name": (f"s2s pronounce {'가' * 90}", ("runs/g2p/default",)),
    "not key=value": ("s2s train app=nmt faster", ("faster",)),
}


@pytest.mark.parametrize("case", CONFIG)
def test_bad_config(tmp_path: Path, case: str):
    command, named = CONFIG[case]
    mistake(tmp_path, command, *named)
    assert not list(tmp_path.rglob("*.pt"))


VALUES = {
    "odd width": ("model.encoder_hidden_size=63", ("encoder_hidden_size must be even", "got 63")),
    "no layers": ("model.decoder_layers=0", ("decoder_layers must be at least 1, got 0",)),
    "all dropped": ("model.dropout=1.0", ("dropout must be in [0, 1), got 1.0",)),
    "tables of two widths": ("model.encoder_embed_dim=16", ("requires equal", "16 and 32")),
    "fewer than no factors": ("model.encoder_factors=-1", ("encoder_factors must be at least 0, got -1",)),
    "no GPU": ("common.fp16=true", ("common.fp16", "GPU")),
    "no tensorboard": ("common.tensorboard_logdir=logs", ("tensorboard_logdir", "pip install")),
    "words without factors": ("subword.factors=[pos]", ("lacks a factor", "word|pos")),
    "no joint vocabulary": ("subword.joint=false", ("share_all_embeddings", "subword.joint=true")),
    "half a pair": ("data.valid_source=x.en", ("valid_target", "both or neither")),
    "nothing to skip": ("data.on_bad_item=ignore", ("data.on_bad_item must be error or skip, got ignore",)),
    "unknown metric": ("metrics=[s2s_blue]", ("s2s_blue", "s2s_bleu")),
    "unknown tokenizer": ("scoring.sacrebleu_tokenizer=13 checkpoint_metric=loss", ("sacrebleu_tokenizer=13", "13a")),
    "fewer tokens than special ones": ("subword.size=4", ("raise subword.size",)),
    "a run in a folder that nobody may write": ("run_dir=/sys/x", ("/sys/x", "run_dir=FOLDER")),
    "data in a folder that nobody may write": ("prepared_dir=/sys/x", ("/sys/x", "prepared_dir=FOLDER")),
    "unknown vocabulary": ("subword.kind=letters", ("SentencePiece", "letters")),
    "no beam": ("generation.beam=0", ("beam must be at least 1, got 0",)),
    "no last update": ("optimization.max_update=0 optimization.max_epoch=1", ("polynomial_decay", "inverse_sqrt")),
}


@pytest.mark.parametrize("case", VALUES)
def test_bad_value(tmp_path: Path, own_files: Path, case: str):
    override, named = VALUES[case]
    (tmp_path / "x.en").write_bytes(GOOD)
    files = f"data=files data.source={own_files}/letters.en data.target={own_files}/letters.de"
    mistake(tmp_path, f"s2s run app=nmt {files} {TINY} {override}", *named)


@pytest.mark.slow  # pip's attempts
def test_package_that_cannot_be_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Every way out goes to a port where nobody listens."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    mistake(tmp_path, "s2s prepare app=nmt", "libreoffice", "from_dir")
