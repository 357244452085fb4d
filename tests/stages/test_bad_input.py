"""A mistake of the user's: one line that names it, exit code 2, nothing half-written."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from command_line import BIN, TRAIN, call, write_reversed

# Quick enough to train in a test, and long enough to be worth stopping.
TINY = "model=tiny model.share_all_embeddings=true subword.size=40 optimization.max_update=3 checkpoint_metric=loss"


def mistake(folder: Path, command: str, *named: str) -> str:
    """Run ``command`` in ``folder``; it must fail in one line that holds every word of ``named``."""
    done = call(command, cwd=folder, check=False)
    errors = [line for line in done.stderr.splitlines() if line.startswith("s2s: error: ")]
    assert done.returncode == 2, done.stderr
    assert len(errors) == 1 and "Traceback" not in done.stderr, done.stderr
    assert done.stderr.rstrip().splitlines()[-1] == errors[0]
    for word in named:
        assert word in errors[0], errors[0]
    assert not list(folder.rglob("*.partial"))
    return errors[0]


def lines(*texts: str | bytes) -> bytes:
    return b"".join((text.encode() if isinstance(text, str) else text) + b"\n" for text in texts)


GOOD = lines("one two", "three four", "five six")
FILES = {
    "sides of different length": (GOOD, lines("eins zwei"), ("my.en has 3 lines", "my.de has 1")),
    "empty file": (b"", GOOD, ("my.en", "empty", "one sentence per line")),
    "empty line": (GOOD, lines("eins", "", "drei"), ("my.de:2", "empty", "skip")),
    "long line": (GOOD, lines("eins", "zwei", "x " * 100_000), ("my.de:3", "got 200,000", "split it")),
    "not UTF-8": (lines("one", b"caf\xe9", "three"), GOOD, ("my.en:2", "byte 4", "UTF-8", "iconv")),
    "NUL": (lines("one", "two", "th\0ree"), GOOD, ("my.en:3", "NUL", "delete")),
    "U+2028": (lines("one\u2028two", "two", "three"), GOOD, ("my.en:1", "U+2028", "delete")),
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
    (tmp_path / "my.en").write_bytes(lines(*words, b"caf\xe9", "", "last one"))
    (tmp_path / "my.de").write_bytes(lines(*words, "kaffee", "leer", "der letzte"))
    done = call("s2s prepare app=nmt data=files data.source=my.en data.target=my.de data.on_bad_item=skip "
                "subword.size=60", cwd=tmp_path)  # fmt: skip
    assert "my.en: 2 unusable pairs skipped" in done.stderr


OWN = {
    "a recipe with files": ("data=ding data.source=my.en data.target=my.de", ("data.source requires data=files",)),
    "a recipe with a manifest": ("data=ding data.manifest=my.tsv", ("data.manifest requires data=manifest",)),
    "a recipe with a table": ("data=ding data.pairs=my.csv", ("data.pairs requires data=files, got data=ding",)),
    "two choices": ("data.pairs=my.csv data.source=my.en data.target=my.de", ("mutually exclusive",)),
    "held-out pairs alone": ("data=files data.valid_pairs=my.csv", ("requires data.source=FILE", "data.pairs=FILE")),
    "one side": ("data=files data.source=my.en", ("data=files requires data.source=FILE and data.target=FILE",)),
    "the same file twice": (
        "data=files data.source=my.en data.target=my.en data.source_lang=en data.target_lang=de",
        ("different files", "my.en twice"),
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
        ("my.txt twice", "100% of the lines have 1 tab", "data.pairs=my.txt"),
    ),
    "the same file, spelled otherwise": (
        "data.source=my.en data.target=./my.en data.source_lang=en data.target_lang=de",
        ("different files", "my.en, which is my.en"),
    ),
    "the same file, through a link": ("data.source=my.en data.target=link.de", ("link.de, which is my.en",)),
    "the same content": ("data.source=my.en data.target=copy.de", ("copy.de, which is a copy of my.en",)),
    "the same content, compressed": ("data.source=my.en data.target=copy.de.gz", ("my.en", "the same 3 lines twice")),
    "held-out sides that are the same": (
        "data.source=my.en data.target=my.de data.valid_source=my.en data.valid_target=copy.de",
        ("data.valid_source and data.valid_target", "copy of my.en"),
    ),
    "extra sides that are the same": (
        "data.source=my.en data.target=my.de data.extra_source=my.en data.extra_target=link.de",
        ("data.extra_source and data.extra_target", "link.de"),
    ),
    "one of several": ("data.source=my.en data.target=[my.de,link.de]", ("link.de, which is my.en",)),
}


@pytest.mark.parametrize("case", OWN)
def test_files_that_the_corpus_does_not_read(tmp_path: Path, case: str):
    for name in ("my.en", "my.csv", "copy.de"):
        (tmp_path / name).write_bytes(GOOD)
    (tmp_path / "my.de").write_bytes(lines("eins zwei", "drei vier", "fünf sechs"))
    (tmp_path / "my.txt").write_bytes(lines("one\teins", "two\tzwei"))
    (tmp_path / "copy.de.gz").write_bytes(gzip.compress(GOOD))
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
    assert "1 pairs longer than 1000 tokens left out" in done.stderr


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


def test_package_that_cannot_be_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Every way out goes to a port where nobody listens."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    mistake(tmp_path, "s2s prepare app=nmt", "libreoffice", "from_dir")


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory, own_files: Path) -> tuple[Path, str]:
    """A trained run and the overrides that made it."""
    folder = tmp_path_factory.mktemp("small")
    overrides = f"app=nmt data=files data.source={own_files}/letters.en data.target={own_files}/letters.de {TINY}"
    call(f"s2s prepare {overrides}", cwd=folder)
    call(f"s2s train {overrides}", cwd=folder)
    return folder, overrides


def test_other_settings_need_another_name(small_run):
    folder, overrides = small_run
    mistake(folder, f"s2s train {overrides} model.dropout=0.25", "model.dropout", "0.25", "name=")


def test_a_refused_command_changes_nothing(small_run):
    folder, overrides = small_run
    run = folder / "runs" / "nmt" / "default"
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "log.txt"}
    mistake(folder, f"s2s run {overrides} model.dropout=0.25", "model.dropout", "name=")
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "log.txt"}


def test_stage_before_its_time(small_run):
    folder, overrides = small_run
    mistake(folder, f"s2s generate {overrides} name=new", "no checkpoint", "train stage")
    mistake(folder, f"s2s score {overrides} name=new", "generate stage")
    mistake(folder, f"s2s train {overrides} subword.size=41 name=new", "prepare stage")
    mistake(folder, f"s2s translate {overrides} name=new", "no checkpoint", "train stage")
    assert [path.name for path in (folder / "runs" / "nmt").iterdir() if path.name == "new"] == ["new"]


def test_batch_that_cannot_hold_a_sentence(small_run):
    folder, overrides = small_run
    mistake(
        folder,
        f"s2s train {overrides} name=narrow dataset.max_tokens=5",
        "dataset.max_tokens must be at least",
        "longest",
    )


def test_no_utf8_on_standard_input(small_run):
    folder, overrides = small_run
    command = [str(BIN / "s2s"), "translate", *overrides.split()]
    done = subprocess.run(command, cwd=folder, input=b"a b c\n\ncaf\xe9\n", capture_output=True)
    assert done.returncode == 2 and done.stdout.split(b"\n")[1] == b""
    assert done.stderr.decode().splitlines()[-1].startswith("s2s: error: standard input, line 3: byte 4 is not UTF-8")


def damaged(small_run, name: str) -> tuple[Path, str, Path]:
    """A copy of the run under another name; returns the checkpoint that decodes too."""
    folder, overrides = small_run
    copy = folder / "runs" / "nmt" / name
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder / "runs" / "nmt" / "default", copy)
    return folder, f"{overrides} name={name}", copy / "checkpoints" / "checkpoint_best.ema.pt"


def test_truncated_checkpoint(small_run):
    folder, overrides, checkpoint = damaged(small_run, "cut")
    checkpoint.write_bytes(checkpoint.read_bytes()[:5000])
    for stage in ("generate", "translate"):
        mistake(folder, f"s2s {stage} {overrides}", str(checkpoint.name), "cut short")
    last, best = (checkpoint.with_name(f"checkpoint_{which}.pt") for which in ("last", "best"))
    last.write_bytes(b"")
    best.write_bytes(best.read_bytes()[:5000])  # both of them: nothing is left to continue from
    (checkpoint.parents[1] / "trained.json").unlink()
    mistake(folder, f"s2s train {overrides}", best.name, "cut short")


def test_checkpoint_of_another_architecture(small_run, toy: Path, tmp_path: Path):
    folder, overrides, checkpoint = damaged(small_run, "foreign")
    stock = (
        "--task translation --arch lstm --encoder-embed-dim 16 --encoder-hidden-size 16 --decoder-embed-dim 16 "
        "--decoder-hidden-size 16 --decoder-out-embed-dim 16 --max-update 1 --data-buffer-size 0"
    )
    ours = "--task s2s --arch s2s_tiny --share-all-embeddings"
    call(TRAIN.replace(ours, stock).format(data=toy, save_dir=tmp_path))
    shutil.copy(tmp_path / "checkpoint_last.pt", checkpoint)
    mistake(folder, f"s2s generate {overrides}", checkpoint.name, "architecture must be s2s*, got lstm")


def test_dictionary_of_other_data(small_run, tmp_path: Path):
    """Of the same size, too."""
    folder, overrides, _ = damaged(small_run, "dictionary")
    write_reversed(tmp_path, {"other": 400}, ("en", "de"), upper=True)
    (tmp_path / "other.en").write_text((tmp_path / "other.en").read_text().replace("a", "z"))
    other = f"{overrides} data.source={tmp_path}/other.en data.target={tmp_path}/other.de"
    call(f"s2s prepare {other}", cwd=folder)
    mistake(folder, f"s2s generate {other}", "dict.en.txt", "data of the training")


def test_fewer_hypotheses_than_references(small_run):
    folder, overrides, checkpoint = damaged(small_run, "fewer")
    data = folder / json.loads((checkpoint.parents[1] / "settings.json").read_text())["task.data"]
    texts = [data / "text" / f"test.{lang}" for lang in ("en", "de")]
    before = [text.read_bytes() for text in texts]
    try:
        for text in texts:
            text.write_bytes(text.read_bytes() + b"one more\n")
        mistake(folder, f"s2s generate {overrides} generation.beam=3", "one hypothesis for each", "run again")
        assert not (folder / "runs" / "nmt" / "fewer" / "scores.json").exists()
    finally:
        for text, content in zip(texts, before, strict=True):
            text.write_bytes(content)
