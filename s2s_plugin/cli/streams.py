"""The standard streams: closed ones, those that are not UTF-8, and readers that have gone."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Collection

from s2s_plugin.errors import UserError

OUTPUT_COMMANDS = (
    "translate",
    "transcribe",
    "lipread",
    "caption",
    "pronounce",
    "chat",
    "annotate",
    "attention",
    "explain",
)  # output is their work
BROKEN_PIPE = 141  # what a shell makes of SIGPIPE


def prepare_streams() -> set[str]:
    """Open what is closed, so that no file takes its number and printing works; return the names of what was.

    Characters that a stream cannot encode are escaped.
    """
    closed = set()
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            closed.add(name)
            file = os.open(os.devnull, os.O_RDWR)
            if file != number:
                os.dup2(file, number)
                os.close(file)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    return closed


def check_output(stage: str, closed: Collection[str], has_inputs: bool) -> None:
    """Raise UserError if the stage's work is output that nobody can read."""
    if stage not in OUTPUT_COMMANDS:
        return
    if "stdout" in closed:
        raise UserError(f"standard output is closed, and s2s {stage} writes to it; redirect it to a file")
    if "stdin" in closed and not has_inputs and stage in ("translate", "chat", "attention", "explain"):
        raise UserError(f"standard input is closed, and s2s {stage} reads from it")
    encoding = str(sys.stdout.encoding).lower().replace("-", "").replace("_", "")
    if encoding not in ("utf8", "utf8sig"):
        raise UserError(
            f"standard output must be UTF-8, got {sys.stdout.encoding}; unset PYTHONIOENCODING or set LC_ALL=C.UTF-8"
        )


def broken_pipe(stage: str) -> int:
    """Let Python flush to nowhere when nobody reads our output any more; return the exit code.

    It is 0 only if the work is done: results on standard output are the last thing that is printed, or the work itself.
    """
    gone = {name for name in ("stdout", "stderr") if _reader_is_gone(getattr(sys, name))}
    for name in gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), getattr(sys, name).fileno())
    return 0 if gone == {"stdout"} or ("stdout" in gone and stage in OUTPUT_COMMANDS) else BROKEN_PIPE


def _reader_is_gone(stream) -> bool:
    poll = select.poll()
    poll.register(stream.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
