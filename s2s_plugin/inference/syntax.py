"""Whether an output is a program that a parser accepts. Nothing is ever executed."""

from __future__ import annotations

import ast
import shutil
import subprocess
import warnings
from collections.abc import Callable, Sequence

from s2s_plugin.errors import UserError
from s2s_plugin.text.escape import from_line

SECONDS = 10  # for one parse


def is_bash(program: str) -> bool:
    """Whether Bash can read the text; with -n it reads and does not execute."""
    if "\0" in program:
        return False
    reader = [shutil.which("bash") or "bash", "--noprofile", "--norc", "-n"]  # its environment has no PATH
    try:
        done = subprocess.run(
            reader, input=program.encode(errors="replace"), env={}, timeout=SECONDS,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0 and not done.stderr  # an open here-document is a warning alone


def is_python(program: str) -> bool:
    """Whether Python can parse the text."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


PARSERS: dict[str, Callable[[str], bool]] = {"bash": is_bash, "python": is_python}


def check_parser(name: str) -> None:
    """
    Raises:
        UserError: there is no such parser, or not on this machine.
    """
    if name not in ("none", *PARSERS):
        raise UserError(f"output_parser must be none, {' or '.join(PARSERS)}, got {name}")
    if name == "bash" and shutil.which("bash") is None:
        raise UserError("output_parser=bash requires bash, which is not installed: set output_parser=none")


def first_parsable(lines: Sequence[str], check: str) -> int:
    """The place of the first line that the parser ``check`` accepts; 0 where it accepts none, or there is none.

    A line may stand for a program of several (see :mod:`s2s_plugin.text.escape`). An empty one is no program.
    """
    if check == "none":
        return 0
    parses = PARSERS[check]
    good = (place for place, line in enumerate(lines) if line.strip() and parses(from_line(line)))
    return next(good, 0)
