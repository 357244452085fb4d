"""Fuzz a loader: it may load a mutated file, or end with a UserError."""

from __future__ import annotations

import faulthandler
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis import strategies as st
from mutations import CANARY, MAX_INPUT, mutated_file

from s2s_plugin.errors import CONTROLS, MAX_LENGTH, UserError

MAX_SECONDS, MAX_BYTES = 10, 10**9  # of an input
FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect", "pty.spawn")
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate")


class Finding(AssertionError):
    """What a loader may not do."""


@contextmanager
def watched(folder: Path) -> Iterator[None]:
    """Raise Finding for what a loader may not do while the block runs: see SECURITY.md.

    What cannot be stopped, as a loop in C, ends the process with a traceback.
    """
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before, began, tempfile.tempdir = _memory("VmRSS"), time.process_time(), str(folder)
    _folders.append(folder.resolve())
    faulthandler.dump_traceback_later(10 * MAX_SECONDS, exit=True)
    try:
        yield
    except UserError as error:
        message = str(error)
        if CONTROLS.search(message) or len(message) > MAX_LENGTH:
            raise Finding(f"message {message[:2000]!r}") from None
    finally:
        faulthandler.cancel_dump_traceback_later()
        _folders.clear()
        tempfile.tempdir = None
    seconds, grown = time.process_time() - began, _memory("VmHWM") - before
    if actions := list(_actions):
        _actions.clear()
        raise Finding(actions[0])
    if seconds > MAX_SECONDS or grown > MAX_BYTES:
        raise Finding(f"{seconds:.0f} s, {grown / 1e6:,.0f} MB")


_folders: list[Path] = []
_actions: list[str] = []  # what was forbidden, also if a loader has caught the exception


def _memory(key: str) -> int:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{key}:"))
    return 1024 * int(line.split()[1])


def _forbid(event: str, arguments: tuple) -> None:
    """Forbid programs, connections, code of the file, and changes outside the folder; the interpreter calls it."""
    if not _folders or (event not in CHANGES and event not in FORBIDDEN and event not in ("open", "compile")):
        return
    if event == "subprocess.Popen" and arguments[1][0] == "dpkg-deb":
        return
    if event in FORBIDDEN or (event == "compile" and CANARY[:12] in str(arguments[0])):
        _actions.append(f"{event} {arguments}"[:300])
    elif event in CHANGES or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
        path = arguments[0]
        if isinstance(path, str | bytes) and _is_outside(os.fsdecode(path)):
            _actions.append(f"{event} {path!r}"[:300])
    if _actions:
        raise Finding(_actions[0])


def _is_outside(path: str) -> bool:
    place = Path(path).absolute().resolve()
    return not place.is_relative_to(_folders[0]) and place.parts[1] != "dev" and "__pycache__" not in place.parts


sys.addaudithook(_forbid)


@dataclass
class Loader:
    """Files of a kind, and what reads them."""

    files: dict[str, bytes]
    load: Callable[[Path, str], object]  # takes the folder, and the name of the file that is changed
    cost: int = 1  # how much slower it is than others


@dataclass
class Fuzz:
    """What came of fuzzing a loader: number of inputs, and the first input of each finding."""

    inputs: int = 0
    findings: dict[str, str] = field(default_factory=dict)

    def run(self, loader: Loader, folder: Path, number: int, examples: int) -> None:
        """Try so many inputs; ``number`` seeds them."""
        names, examples = sorted(loader.files), max(1, examples // loader.cost)
        key = ""

        @seed(number)
        @settings(
            max_examples=examples, database=None, deadline=None, suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink), report_multiple_bugs=False,
        )  # fmt: skip
        @given(st.data())
        def try_one(data: st.DataObject) -> None:
            nonlocal key
            name = data.draw(st.sampled_from(names))
            other = loader.files[data.draw(st.sampled_from(names))]
            content = data.draw(mutated_file(name, loader.files[name], other))
            assume(len(content) <= MAX_INPUT)
            shutil.rmtree(folder, ignore_errors=True)
            for path, whole in {**loader.files, name: content}.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(whole)
            self.inputs += 1
            try:
                with watched(folder):
                    loader.load(folder, name)
            except Exception as error:
                key = _key(error)
                if key not in self.findings:
                    raise

        try:
            try_one()
        except Exception as error:
            kept = folder.with_name(f"{folder.name}.finding{len(self.findings)}")
            shutil.copytree(folder, kept, dirs_exist_ok=True, symlinks=True)
            self.findings[key] = f"{type(error).__name__}: {error}"[:500] + f" ({kept})"


def _key(error: BaseException) -> str:
    """Tell findings apart: by the exception and the innermost line of ours."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "s2s_plugin/" in frame.filename]
    place = f"{frames[-1].filename.rpartition('s2s_plugin/')[2]}:{frames[-1].lineno}" if frames else str(error)[:30]
    return f"{type(error).__name__} {place}"
