"""Packaged models in place of runs: ``model=FILE.s2s``, ``finetune_from=FILE.s2s``, ``check.run=FILE.s2s``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from s2s_plugin.errors import UserError
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.package.hub import is_model_name, local_file
from s2s_plugin.package.unpack import unpack, unpack_here
from s2s_plugin.stages.runner import INTERACTIVE, TRAINING_STAGES
from s2s_plugin.utils.io import file_sha256, locked
from s2s_plugin.utils.untrusted import load_yaml

MODEL, BASE, CHECK_RUN, PREPARED = "model=", "finetune_from=", "check.run=", "prepared_dir="


def use_packages(stage: str, words: Sequence[str]) -> list[str]:
    """Return the words after a stage with runs in place of packaged models.

    Raises:
        UserError: a file is damaged, or of another app than the one that is named.
    """
    replaced: list[str] = []
    for word in words:
        key, name = _split(word, bare=stage == "diagnose")
        if not is_model_name(name):
            replaced.append(word)
        elif key == BASE:
            replaced.append(f"{BASE}{_base(local_file(name), words)}")
        elif key == CHECK_RUN:
            replaced.append(f"{CHECK_RUN}{unpack_here(local_file(name)).folder}")
        elif stage in INTERACTIVE or stage == "diagnose":
            run = unpack_here(local_file(name))
            replaced += run_overrides(run.folder, words)
            if stage == "diagnose":
                replaced.append(f"task.data={run.data}")
        else:
            hint = f"; {BASE}{name} trains on from it" if stage in TRAINING_STAGES else ""
            raise UserError(f"{word}: s2s {stage} requires the folder of a run{hint}")
    return replaced


def _split(word: str, bare: bool) -> tuple[str, str]:
    """Return the key of an option that may name a packaged model, and its value; ``bare``: without a key, too."""
    for key in (MODEL, BASE, CHECK_RUN):
        if word.startswith(key):
            return key, word.removeprefix(key)
    return "", word if bare else ""


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
