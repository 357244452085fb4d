"""The files and commands of docs/extend.md."""

from __future__ import annotations

import re
from pathlib import Path

from command_line import ROOT

PAGE = (ROOT / "docs/extend.md").read_text(encoding="utf-8")
FILES = dict(
    re.findall(r"`(my_\w+/[\w/.]+)`[^`]*(?:`[^`]+`[^`]*)*?:\n\n```\w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
)
COMMANDS = [line for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.M | re.S) for line in block.splitlines()]


def write_files(folder: Path) -> None:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def command(pattern: str) -> str:
    (found,) = [line for line in COMMANDS if re.search(pattern, line)]
    return found
