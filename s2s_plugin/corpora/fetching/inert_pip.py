"""pip that runs no code of the packages it downloads: ``python s2s_plugin/corpora/fetching/inert_pip.py download ...``.

To learn the name and dependencies of a source archive, ``pip download`` runs the archive's ``setup.py`` or build
backend (PEP 517). Here every Python that pip starts becomes this file, which answers from the archive's ``PKG-INFO``;
other programs are not found.
"""

from __future__ import annotations

import email
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

HOOK = "prepare_metadata_for_build_wheel"


class _Inert(subprocess.Popen):
    """A process of this file, with the last two arguments of the one that was asked for: hook and folder of answers."""

    def __init__(self, command: Any, *_: Any, cwd: Any = None, env: Any = None, **streams: Any):
        if str(command[0]) != sys.executable:
            raise FileNotFoundError(f"inert pip starts no {command[0]}")
        keep = ("stdin", "stdout", "stderr", "bufsize", "text", "encoding", "errors", "universal_newlines")
        arguments = [str(argument) for argument in command][-2:]
        streams = {key: value for key, value in streams.items() if key in keep}
        super().__init__([sys.executable, "-I", __file__, "answer", *arguments], cwd=cwd, env=env, **streams)


def answer(hook: str, folder: Path) -> int:
    """Answer a hook of PEP 517 in the way of pyproject-hooks: ``input.json`` and ``output.json`` in ``folder``."""
    if hook != HOOK or not Path("PKG-INFO").is_file():
        return 1
    wanted = json.loads((folder / "input.json").read_text(encoding="utf-8"))["kwargs"]
    info = Path("PKG-INFO").read_bytes()
    fields = email.message_from_bytes(info)
    name, version = (re.sub(r"[^\w.]+", "_", str(fields[key]), flags=re.ASCII) for key in ("Name", "Version"))
    made = Path(wanted["metadata_directory"]) / f"{name}-{version}.dist-info"
    made.mkdir(parents=True)
    (made / "METADATA").write_bytes(info)
    (folder / "output.json").write_text(json.dumps({"return_val": made.name}), encoding="utf-8")
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["answer"]:
        sys.exit(answer(sys.argv[2], Path(sys.argv[3])))
    subprocess.Popen = _Inert  # type: ignore[misc, assignment]
    runpy.run_module("pip", run_name="__main__", alter_sys=True)
