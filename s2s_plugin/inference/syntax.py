"""Check whether an output is a program that a parser accepts. Nothing is ever executed."""

from __future__ import annotations

import ast
import functools
import shutil
import subprocess
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from s2s_plugin.datasets.references import read_references
from s2s_plugin.errors import UserError
from s2s_plugin.text.escape import unescape
from s2s_plugin.utils.console import say

PARSE_TIMEOUT = 10  # seconds
SAMPLE = 100  # validation references, about, that decide whether a parser is used
MIN_PARSABLE, SURELY_PARSABLE = 0.75, 0.95  # share of them that it must accept; below the second it is said


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


def usable_parser(cfg: DictConfig) -> str:
    """Return ``output_parser``, or "none", with a message, if the validation references show that it would do harm.

    Correct outputs do not parse where references do not, such as ``else :`` or programs in another language.
    """
    return _usable_parser(cfg.output_parser, *_references(cfg))


def is_shell(cfg: DictConfig) -> bool:
    """Return whether the outputs are to be shell commands, as far as their references tell."""
    if cfg.output_parser == "python" or shutil.which("bash") is None:
        return cfg.output_parser != "python"
    return _parsable_share("bash", *_references(cfg)) >= MIN_PARSABLE


def _references(cfg: DictConfig) -> tuple[Path, str, str, str]:
    return Path(cfg.task.data), cfg.dataset.valid_subset, cfg.task.source_lang, cfg.task.target_lang


@functools.cache
def _usable_parser(name: str, *references: Any) -> str:
    share = 1.0 if name == "none" else _parsable_share(name, *references)
    accepts = f"it accepts {share:.0%} of the validation references"
    if share < MIN_PARSABLE:
        better = "; set output_parser=python" if _parsable_share("python", *references) >= MIN_PARSABLE else ""
        say(f"      output_parser={name} is not used: {accepts}{better}")
        return "none"
    if share < SURELY_PARSABLE:
        say(f"      output_parser={name}: {accepts}; a right output may lose to one that parses (output_parser=none)")
    return name


@functools.cache
def _parsable_share(name: str, folder: Path, split: str, source_lang: str, target_lang: str) -> float:
    """Return the share of a sample of references that a parser accepts; 1 if the folder has no texts."""
    if not (folder / "text" / f"{split}.{target_lang}").is_file():
        return 1.0
    items = read_references(folder, split, source_lang, target_lang)
    texts = [text for item in items for text in ([item] if isinstance(item, str) else item) if text.strip()]
    sample = texts[:: max(1, len(texts) // SAMPLE)]
    return sum(PARSERS[name](unescape(text)) for text in sample) / max(1, len(sample))


def first_parsable(lines: Sequence[str], parser: str) -> int:
    """Return the index of the first line that the parser accepts; 0 if it accepts none, or is "none".

    A line may encode a program of several lines (see :mod:`s2s_plugin.text.escape`). An empty one is not a program.
    """
    if parser == "none":
        return 0
    parses = PARSERS[parser]
    return next((index for index, line in enumerate(lines) if line.strip() and parses(unescape(line))), 0)
