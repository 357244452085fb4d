"""Make the folder of a run of a packaged model, so that whatever takes a run takes the file."""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from s2s_plugin.errors import UserError
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.package.archive import CHECKPOINT, CONFIG, WEIGHTS, PackageFile
from s2s_plugin.package.weights import unpack_weights
from s2s_plugin.utils.checkpoint import save_checkpoint, untrained_state
from s2s_plugin.utils.digests import record_digests
from s2s_plugin.utils.io import atomic_folder, write_bytes
from s2s_plugin.utils.untrusted import MAX_YAML_BYTES, check_plain, write_yaml

SHAPE = {"model": dict, "task": dict, "updates": int}  # of checkpoint.json
DATA = "data/"
PREFIX, LOCK = "s2s-model-", ".lock"  # of temporary folders; the process that made one holds its lock
MIN_AGE = 60  # seconds: younger folders may not be locked yet


def unpack(path: Path, folder: Path) -> RunDir:
    """Write the run of a packaged model to a new folder; nothing if the file is not sound.

    Raises:
        UserError: it is damaged, or of another kind or version.
    """
    with PackageFile(path) as file:
        stored = file.read_json(CHECKPOINT, SHAPE)
        check_plain(stored, path)
        groups = {group: stored[group] for group in ("model", "task")}
        state = untrained_state(groups, unpack_weights(file.read(WEIGHTS), str(path)), stored["updates"])
        config = file.read(CONFIG)
        data = {name: file.read(name) for name in file.names if name.startswith(DATA)}
    try:
        text = config[:MAX_YAML_BYTES].decode("utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path}: {CONFIG} is not UTF-8; export the model again") from None
    with atomic_folder(folder) as partial:
        run = RunDir(partial)
        for name, content in data.items():
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            write_bytes(partial / name, content)
        record_digests(run.data)
        run.checkpoints.mkdir()
        save_checkpoint(state, run.checkpoints / "checkpoint_best.pt")
        write_yaml(run.config, text)
    return RunDir(folder)


def unpack_here(path: Path) -> RunDir:
    """Write the run of a packaged model to a temporary folder.

    It goes when the process ends; that of a process that was killed, when the next one comes here.
    """
    _remove_abandoned()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    fcntl.flock(os.open(folder / LOCK, os.O_CREAT), fcntl.LOCK_EX)  # open until the process ends
    return unpack(path, folder / path.stem)


def _remove_abandoned() -> None:
    """Remove temporary folders of this user whose processes have ended."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            state = folder.lstat()
            is_ours = stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid()
            if is_ours and time.time() - state.st_mtime > MIN_AGE:
                with (folder / LOCK).open() as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder)
