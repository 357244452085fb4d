"""Check whether an output is a program that a parser accepts. Nothing is ever executed."""

from __future__ import annotations

import ast
import shutil
import subprocess
import warnings
from collections.abc import Callable, Sequence

from s2s_plugin.errors import UserError
from s2s_plugin.text.escape import unescape

PARSE_TIMEOUT = 10  # seconds


def is_bash(program: str) -> bool:
    """Return whether Bash can parse the text; with -n it does not execute anything."""
    if "\0" in program:
        return False
    parse = [shutil.which("bash") or "bash", "--noprofile", "--norc", "-n"]  # the environment below has no PATH
    try:
        done = subprocess.run(
            parse, input=program.encode(errors="replace"), env={}, timeout=PARSE_TIMEOUT,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0 and not done.stderr  # an unfinished here-document is only a warning


def is_python(program: str) -> bool:
    """Return whether Python can parse the text."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


PARSERS: dict[str, Callable[[str], bool]] = {"bash": is_bash, "python": is_python}


def check_parser(name: str) -> None:
    """Raise UserError if there is no such parser, or not on this machine."""
    if name not in ("none", *PARSERS):
        raise UserError(f"output_parser must be none, {' or '.join(PARSERS)}, got {name}")
    if name == "bash" and shutil.which("bash") is None:
        raise UserError("output_parser=bash requires bash, which is not installed: set output_parser=none")


def first_parsable(lines: Sequence[str], parser: str) -> int:
    """Return the index of the first line that the parser accepts; 0 if it accepts none, or is "none".

    A line may encode a program of several lines (see :mod:`s2s_plugin.text.escape`). An empty one is not a program.
    """
    if parser == "none":
        return 0
    parses = PARSERS[parser]
    return next((index for index, line in enumerate(lines) if line.strip() and parses(unescape(line))), 0)
