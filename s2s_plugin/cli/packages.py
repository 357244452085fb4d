"""Packaged models in place of runs: ``model=FILE.s2s``, ``finetune_from=FILE.s2s``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from s2s_plugin.errors import UserError
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.package.archive import is_package
from s2s_plugin.package.unpack import unpack, unpack_here
from s2s_plugin.utils.io import file_sha256, locked
from s2s_plugin.utils.untrusted import load_yaml

MODEL, BASE, PREPARED = "model=", "finetune_from=", "prepared_dir="


def use_packages(stage: str, words: Sequence[str]) -> list[str]:
    """Return the words after a stage with runs in place of packaged models.

    Raises:
        UserError: a file is damaged, or of another app than the one that is named.
    """
    replaced: list[str] = []
    for word in words:
        if stage == "diagnose" and is_package(word):
            raise UserError(
                f"{word.removeprefix(MODEL)}: s2s diagnose requires the folder of the run, with its test set"
            )
        if word.startswith(MODEL) and is_package(word):
            run = unpack_here(Path(word.removeprefix(MODEL)).expanduser())
            replaced += run_overrides(run.folder, words)
        elif word.startswith(BASE) and is_package(word):
            replaced.append(f"{BASE}{_base(Path(word.removeprefix(BASE)).expanduser(), words)}")
        else:
            replaced.append(word)
    return replaced


def run_overrides(folder: Path, words: Sequence[str] = ()) -> list[str]:
    """Return the overrides that mean the run in a folder, next to the ``words`` that the user has typed.

    Raises:
        UserError: it is no such folder, or the user names another app.
    """
    config = RunDir(folder).config
    if not config.is_file():
        raise UserError(f"{folder}: not the folder of a run such as runs/nmt/default")
    app = f"app={load_yaml(config).get('app')}"
    named = [word for word in words if word.startswith("app=")]
    if named and named != [app]:
        raise UserError(f"{folder.name} was trained with {app}, got {named[0]}; leave it out")
    return [*([] if named else [app]), f"run_dir={folder}"]


def _base(path: Path, words: Sequence[str]) -> Path:
    """Return the run of a packaged model to train on from; it stays, as a training may go on later."""
    prepared = next((word.removeprefix(PREPARED) for word in words if word.startswith(PREPARED)), "data-bin")
    if not path.is_file():
        raise UserError(f"{path}: no such packaged model")
    folder = Path(prepared) / "packages" / f"{path.stem}.{file_sha256(path)[:8]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_name(f".{folder.name}.lock")):
        if not folder.is_dir():
            unpack(path, folder)
    return folder
