"""Names as people have them work unquoted: of files, runs and languages, from a shell as one argument each."""

from __future__ import annotations

import itertools
import os
import shlex
import subprocess
import unicodedata
from pathlib import Path

import pytest
from command_line import BIN, call, printed_commands, write_reversed
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from s2s_plugin.cli.config import imply_data
from s2s_plugin.cli.overrides import quote_overrides
from s2s_plugin.stages import schema

SMALL = (
    "model=tiny subword.kind=char subword.size=30 dataset.max_tokens=500 optimization.max_update=2 workers=1 "
    "generation.max_len_a=0 generation.max_len_b=10"
)
STEMS = (
    "말뭉치", "données", "한국어/k", "corpus (1)", "a=b", "R&D", "c:d", "e,f", "50%", "it's", 'say "hi"', "[draft]",
    "{x}", "-dash", " space ", "$HOME", "back\\slash\\", "# x", "~tilde", "null", "1e3", "a;b|c*?!", "(",
)  # fmt: skip
RUNS = (
    "1_1", "11", "2024_01_15", "0.30", "1e3", "été", "# x", "null", "true", "nan", "0x10", "a=b", "R&D", "c:d", "e,f",
    "it's", "-x", "[y]", "~", " z ", "back\\",
)  # fmt: skip
LANGUAGES = ("nan", "no", "on", "y", "null", "1_1", "pt-BR")


def corpus(folder: Path, stem: str = "my", langs: tuple[str, str] = ("en", "de")) -> list[str]:
    """Write two files of that stem; return the options that name them."""
    write_reversed((folder / stem).parent, {"pairs": 60}, langs, upper=True)
    files = []
    for side, lang in zip(("source", "target"), langs, strict=True):
        ((folder / stem).parent / f"pairs.{lang}").rename(folder / f"{stem}.{lang}")
        files.append(f"data.{side}={stem}.{lang}")
    return files


def prepare(folder: Path, *options: str) -> str:
    """Prepare, and return what is said."""
    return call(["s2s", "prepare", "app=nmt", *SMALL.split(), *options], cwd=folder).stderr


def config(*options: str) -> DictConfig:
    """Return the config that the command line composes."""
    schema.register()
    with initialize_config_dir(str(schema.CONF), version_base="1.3"):
        return compose("s2s", overrides=quote_overrides(imply_data(["app=nmt", *options])))


@pytest.mark.slow
def test_any_name_is_what_the_config_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of a file, a run and a language; a run's folder has its name as it was typed."""
    monkeypatch.chdir(tmp_path)
    for stem, name, language in zip(STEMS, itertools.cycle(RUNS), itertools.cycle(LANGUAGES)):
        files = corpus(tmp_path, stem)
        cfg = config(*files, f"data.test_pairs={stem}.tsv", f"name={name}", f"data.source_lang={language}")
        assert (cfg.data.name, cfg.data.source, cfg.data.target) == ("files", f"{stem}.en", f"{stem}.de")
        assert (cfg.data.test_pairs, cfg.data.source_lang) == (f"{stem}.tsv", language)
        assert (cfg.name, cfg.run_dir) == (name, f"runs/nmt/{name}")
    assert config("data.source=a", "name='null'", "finetune_from=null").finetune_from is None


@pytest.mark.parametrize("stem", ["한국어/k", "$HOME", "back\\slash\\"])
def test_a_file_of_any_name_is_prepared(tmp_path: Path, stem: str):
    assert "pairs (train / valid / test)" in prepare(tmp_path, *corpus(tmp_path, stem))


@pytest.mark.parametrize("stem", ['it\'s, "so" [x]', "-dash"])
def test_a_table_of_any_name_is_prepared(tmp_path: Path, stem: str):
    rows = "".join(f"text number {n} {n % 7}\tTEXT {n}\n" for n in range(60))
    (tmp_path / f"{stem}.tsv").write_text("en\tde\n" + rows)
    assert "pairs (train / valid / test)" in prepare(tmp_path, f"data.pairs={stem}.tsv")


@pytest.mark.parametrize("language", ["no", "1_1"])
def test_a_language_of_any_name_is_prepared(tmp_path: Path, language: str):
    files = corpus(tmp_path)
    prepare(tmp_path, *files, f"data.source_lang={language}")
    assert list(tmp_path.glob(f"data-bin/files.{language}-de.*/dict.{language}.txt"))


def test_a_home_folder_and_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """``~/`` is the home in file options; the elements of a list are texts as well."""
    corpus(tmp_path, "one, two")
    monkeypatch.setenv("HOME", str(tmp_path))
    quoted = quote_overrides(["data.source=~/one, two.en", "data.source=[~/a.en,it's.en]", "chat.fallback=~/x"])
    assert quoted[0] == f"data.source='{tmp_path}/one, two.en'"
    assert quoted[1] == f"data.source=['{tmp_path}/a.en','it\\'s.en']"
    assert quoted[2] == "chat.fallback='~/x'"


def test_the_command_line_composes_the_same(tmp_path: Path):
    printed = call(["s2s", "run", "app=nmt", "name=1e3", "--cfg", "job"], cwd=tmp_path).stdout
    assert OmegaConf.create(printed).run_dir == "runs/nmt/1e3"


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a/b", "/", "é" * 128])
def test_a_name_that_no_folder_can_have_is_refused(tmp_path: Path, name: str):
    done = call(["s2s", "run", "app=nmt", f"name={name}"], cwd=tmp_path, check=False)
    assert done.returncode == 2 and "name must be a name for a folder" in done.stderr
    assert done.stderr.count("\n") == 1 and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) for name in ("it's # 1_1", "a:b, (50%) R&D", "-été=[x]")]
)
def test_from_a_file_of_any_name_to_its_translation(tmp_path: Path, name: str):
    """A run, a list of it, its translation, and the printed commands in a shell."""
    files = corpus(tmp_path, name)
    done = call(["s2s", "run", "app=nmt", f"name={name}", *SMALL.split(), *files], cwd=tmp_path)
    folder = tmp_path / "runs" / "nmt" / name
    assert (folder / "report.html").is_file() and [folder] == list((tmp_path / "runs/nmt").iterdir())
    assert str(folder.relative_to(tmp_path)) in " ".join(call("s2s list runs", cwd=tmp_path).stdout.split("\n"))
    translated = call(["s2s", "translate", "app=nmt", f"name={name}"], cwd=tmp_path, stdin="a b c\n").stdout
    assert translated.count("\n") == 1
    assert "up to date" in call(["s2s", "generate", "app=nmt", f"name={name}"], cwd=tmp_path).stderr
    call(["s2s", "compare", f"runs/nmt/{name}", f"runs/nmt/{name}"], cwd=tmp_path)
    generate = next(each for each in printed_commands(done.stderr) if each.startswith("fairseq-generate"))
    assert shlex.split(generate)[shlex.split(generate).index("--path") + 1].startswith(f"runs/nmt/{name}/")
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    shell = subprocess.run(["sh", "-c", generate], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert shell.returncode == 0 and "Generate test" in shell.stdout + shell.stderr, shell.stderr[-2000:]


def test_the_other_normalization_of_a_name_is_found(tmp_path: Path):
    """A file or a run whose name came decomposed from a Mac is the one that is typed composed, and the reverse."""
    for form, typed in (("NFD", "NFC"), ("NFC", "NFD")):
        files = corpus(tmp_path, unicodedata.normalize(form, "données"))
        prepare(tmp_path, *(unicodedata.normalize(typed, file) for file in files))
        run = tmp_path / "runs" / "nmt" / unicodedata.normalize(form, "été")
        run.mkdir(parents=True)
        typed_run = run.with_name(unicodedata.normalize(typed, run.name))
        done = call(["s2s", "translate", "app=nmt", f"name={typed_run.name}"], tmp_path, "a\n", check=False)
        assert f"runs/nmt/{run.name}/checkpoints: no checkpoint" in done.stderr
        run.mkdir()  # Hydra leaves no empty folder
        done = call(["s2s", "compare", *[f"runs/nmt/{typed_run.name}"] * 2], tmp_path, check=False)
        assert f"runs/nmt/{run.name}" in done.stderr
        run.rmdir()


def test_a_sweep_is_split_and_its_names_are_texts():
    assert quote_overrides(["-m", "name=1_1,a b", "model.dropout=0.1,0.3"])[1:] == [
        "name='1_1','a b'",
        "model.dropout=0.1,0.3",
    ]
    assert quote_overrides(["name=e,f"]) == ["name='e,f'"]


@pytest.mark.parametrize("word", ["name='a b'", 'name="1_1"', "name=${oc.env:USER}", "model.dropout=0.1", "app=nmt",
                                  "data.options.x=1", "finetune_from=null", "optimization.lr=[0.01]"])  # fmt: skip
def test_what_hydra_reads_as_it_is_stays(word: str):
    assert quote_overrides([word]) == [word]


def test_completion_after_a_name_with_spaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COMP_LINE", "s2s run app=nmt name='# x' data.source=it\\'s.en model.drop")
    assert "model.dropout=" in call(["s2s", "-sc", "query=bash"], cwd=tmp_path).stdout
    wrong = call(["s2s", "run", "app=nmt", "name=# x", "model.dropot=0.1"], cwd=tmp_path, check=False)
    assert "did you mean model.dropout?" in wrong.stderr
