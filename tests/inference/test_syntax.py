"""Parsers of outputs: they accept programs, refuse what is none, and never run anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from s2s_plugin.errors import UserError
from s2s_plugin.inference.syntax import check_parser, first_parsable, is_bash, is_python, is_shell, usable_parser

BASH = ["ls -l | grep 'a b'", "for i in *; do echo $i; done", "find . \\( -name a \\)", "cat <<E\na\nE", "# 가", "a=1"]
NO_BASH = ["ls | | grep", "for i in *; do echo", "echo 'a", "find . ( -name a", "cat <<E\na", "if", "a\0b"]
PYTHON = ["def f(x):\n\treturn x\n", "print('a')", "x = '''\n'''", "가 = 1"]
NO_PYTHON = ["def f(x):\nreturn x", "print('a", "x = = 1", "a\0b", "(" * 5000, " x"]


@pytest.mark.parametrize("program", BASH)
def test_bash_is_bash(program):
    assert is_bash(program)


@pytest.mark.parametrize("program", NO_BASH)
def test_what_is_no_bash(program):
    assert not is_bash(program)


def test_python():
    assert all(map(is_python, PYTHON))
    assert not any(map(is_python, NO_PYTHON))


def test_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    startup = tmp_path / "startup"
    startup.write_text(f"touch {tmp_path}/started\n")
    monkeypatch.setenv("BASH_ENV", str(startup))
    for program in (
        "touch {}/run",
        "echo $(touch {}/run)",
        "`touch {}/run`",
        "set +n\ntouch {}/run",
        "x[$(touch {}/run)]=1",
    ):
        is_bash(program.format(tmp_path))
    is_python(f"open('{tmp_path}/run', 'w')")
    assert [path.name for path in tmp_path.iterdir()] == ["startup"]


def test_the_bash_that_is_on_the_path_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert is_bash("ls")
    (tmp_path / "bash").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "bash").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not is_bash("ls")


def test_the_first_that_parses_is_taken():
    assert first_parsable(["ls |", "echo 'a", "ls", "cat"], "bash") == 2
    assert first_parsable(["ls |", "ls"], "none") == 0
    assert first_parsable(["ls |", "echo 'a"], "bash") == 0
    assert first_parsable(["", "ls"], "bash") == 1
    assert first_parsable(["def f():↵return", "def f():↵\treturn"], "python") == 1


def test_mistakes_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UserError, match="output_parser must be none, bash or python, got ruby"):
        check_parser("ruby")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="output_parser=bash requires bash"):
        check_parser("bash")
    check_parser("python")


def prepared(folder: Path, parser: str, references: list[str]) -> DictConfig:
    """The config of a run whose validation references are these."""
    (folder / "text").mkdir()
    (folder / "text" / "valid.code").write_text("".join(f"{line}\n" for line in references))
    task = {"data": str(folder), "source_lang": "en", "target_lang": "code"}
    return OmegaConf.create({"output_parser": parser, "task": task, "dataset": {"valid_subset": "valid"}})


@pytest.mark.parametrize(
    "fragments, used, said",
    [
        (4, "python", ""),
        (
            20,
            "python",
            "      output_parser=python: it accepts 80% of the validation references; a right output may lose",
        ),
        (39, "none", "      output_parser=python is not used: it accepts 61% of the validation references\n"),
    ],
)
def test_a_parser_that_rejects_references_is_not_used(tmp_path: Path, capsys, fragments: int, used: str, said: str):
    """As of a public set of Python lines, of which 39 % are such as ``else :``."""
    cfg = prepared(tmp_path, "python", ["else :"] * fragments + ["x = f ( 1 )"] * (100 - fragments))
    assert usable_parser(cfg) == used
    error = capsys.readouterr().err
    assert error.startswith(said) and bool(error) == bool(said)


def test_what_is_no_shell_has_no_template(tmp_path: Path, capsys):
    cfg = prepared(tmp_path, "bash", ["def f(x): return x", "x = f(1, 2)"] * 20)
    assert not is_shell(cfg)
    assert usable_parser(cfg) == "none"
    assert "it accepts 0% of the validation references; set output_parser=python\n" in capsys.readouterr().err


def test_shell_is_shell(tmp_path: Path):
    cfg = prepared(tmp_path, "bash", [program for program in BASH if "\n" not in program] * 5)
    assert is_shell(cfg) and usable_parser(cfg) == "bash"
    assert not is_shell(OmegaConf.merge(cfg, {"output_parser": "python"}))
