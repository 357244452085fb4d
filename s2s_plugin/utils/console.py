"""Output for the user: short lines on stderr, progress bars on a terminal, fairseq's messages in the log file."""

from __future__ import annotations

import logging
import os
import re
import shlex
import sys
import textwrap
import warnings
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from s2s_plugin.errors import UserError, visible

DIM, RESET = "\033[2m", "\033[0m"
ACCENT, STRONG = "\033[38;5;33m", "\033[38;5;208m"  # blue and orange, readable on dark and light
MAX_SIMILAR = 5  # lines of one kind from one process
WIDTH = 80  # columns of a terminal
LOG_FORMAT = "%(asctime)s | %(levelname)s | %(name)s | %(message)s"


def say(line: str = "") -> None:
    """Print a line for the user on stderr; stdout is for results."""
    with tqdm.external_write_mode(file=sys.stderr):
        print(harmless(line), file=sys.stderr, flush=True)


def note(text: str) -> None:
    """Print a remark of a stage, indented and wrapped."""
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    lines = textwrap.wrap(text, WIDTH - 6, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    say(textwrap.indent("\n".join(lines), " " * 6))


def harmless(text: str) -> str:
    """Return text with visible control characters, but for line ends, tabs, and our own escapes."""
    text = visible(text, keep="\n\t")
    for escape in (DIM, RESET, ACCENT, STRONG):
        text = text.replace(visible(escape), escape)
    return text


def note_some(kind: str, text: str) -> None:
    """Print a remark about one of many files; from each process a few of a kind, then that there are more."""
    _said[kind] += 1
    if _said[kind] <= MAX_SIMILAR:
        note(text)
    elif _said[kind] == MAX_SIMILAR + 1:
        note("more such files are not named")


_said: Counter[str] = Counter()


def guard_terminal() -> None:
    """Show the control characters of results on a terminal; a pipe or file gets them as they are."""
    if sys.stdout.isatty():
        sys.stdout = VisibleOutput(sys.stdout)  # type: ignore[assignment]


class VisibleOutput:
    """A terminal to which text is written by :func:`harmless`."""

    def __init__(self, terminal: TextIO):
        self.terminal = terminal

    def write(self, text: str) -> int:
        return self.terminal.write(harmless(text))

    def __getattr__(self, name: str):
        return getattr(self.terminal, name)


def say_command(command: str) -> None:
    """Print a shell command, in lines that can be pasted together."""
    lines, parts = ["      $"], [""]
    for word in map(shlex.quote, shlex.split(command)):
        if word.startswith("-") or not re.fullmatch(r"--\S+", parts[-1]):
            parts.append(word)
        else:
            parts[-1] += f" {word}"  # an option with its value
    for part in parts[1:]:
        if len(f"{lines[-1]} {part} \\") > WIDTH:
            lines.append("       ")
        lines[-1] += f" {part}"
    say(dim(" \\\n".join(lines)))


def dim(text: str) -> str:
    """Make text dim where standard error is a terminal."""
    return f"{DIM}{text}{RESET}" if _has_colors(sys.stderr) else text


def shaded(text: str, strong: bool = False) -> str:
    """Color text where standard output is a terminal; ``strong`` text in another color."""
    return f"{STRONG if strong else ACCENT}{text}{RESET}" if _has_colors(sys.stdout) else text


def _has_colors(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR")


def clock(seconds: float) -> str:
    """Format seconds as minutes:seconds, or hours:minutes:seconds."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def route_logs(log_file: Path | None, verbose: bool) -> None:
    """Send all logging to ``log_file``, and with ``verbose`` to the terminal too.

    Call it before fairseq's mains are imported: their ``logging.basicConfig`` then has no effect.
    """
    handlers: list[logging.Handler] = [logging.NullHandler()]
    if log_file is not None:
        try:
            log_file.parent.mkdir(parents=True, exist_ok=True)
            handlers.append(LogFile(log_file, encoding="utf-8"))
        except OSError as error:
            raise UserError(f"{log_file}: cannot be written ({error.strerror}); set run_dir=FOLDER") from None
        handlers[-1].setFormatter(JsonLinesFormatter(LOG_FORMAT))
    if verbose:
        handlers.append(logging.StreamHandler())
    logging.basicConfig(format=LOG_FORMAT, level=logging.INFO, handlers=handlers, force=True)
    logging.captureWarnings(True)
    if not verbose:
        warnings.simplefilter("ignore", FutureWarning)


class LogFile(logging.FileHandler):
    """The log of a run, which training needs to continue: it ends if the log cannot be written."""

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            return super().handleError(record)
        raise UserError(f"{self.baseFilename}: cannot be written ({error.strerror}); run the same command again")

    def close(self) -> None:
        with suppress(OSError):  # of what is left in its buffer
            super().close()


class JsonLinesFormatter(logging.Formatter):
    """Leave records in JSON as they are, so that the log can be parsed; prefix the rest."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        return message if message.startswith("{") else super().format(record)
