"""Packaged models on the Hugging Face hub: ``hf:OWNER/NAME``, or ``hf:OWNER/NAME@REVISION``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from s2s_plugin.datasets.frontends import check_installed
from s2s_plugin.errors import UserError
from s2s_plugin.package.archive import CARD, SUFFIX, PackageFile
from s2s_plugin.utils.untrusted import show

PREFIX = "hf:"
REPOSITORY = r"[\w.-]+/[\w.-]+"
NAME = re.compile(rf"{PREFIX}({REPOSITORY})(?:@([\w./-]+))?", re.ASCII)


def is_model_name(name: str | Path) -> bool:
    """Return whether a name is that of a packaged model, of this machine or of the hub."""
    return str(name).endswith(SUFFIX) or str(name).startswith(PREFIX)


def local_file(name: str | Path) -> Path:
    """Return the file of a packaged model; one of the hub is fetched unless it is in the hub's cache.

    Raises:
        UserError: there is no such repository, or not one packaged model in it.
    """
    if not str(name).startswith(PREFIX):
        return Path(name).expanduser()
    match = NAME.fullmatch(str(name))
    if match is None:
        raise UserError(f"a model of the hub is {PREFIX}OWNER/NAME or {PREFIX}OWNER/NAME@REVISION, got {name}")
    hub = _import_hub(str(name))
    try:
        folder = hub.snapshot_download(match[1], revision=match[2], allow_patterns=f"*{SUFFIX}")
    except Exception as error:  # of the hub, of HTTP, of the network, of the disk
        raise UserError(f"{name}: cannot be fetched ({_reason(error)})") from None
    files = sorted(Path(folder).rglob(f"*{SUFFIX}"))
    if len(files) != 1:
        raise UserError(f"{name}: expected one file that ends with {SUFFIX}, got {len(files)}")
    return files[0]


def upload(path: Path, repository: str, private: bool = False) -> str:
    """Put a packaged model, and its card as README.md, into a repository, which is made if there is none.

    Returns:
        the address of the repository.

    Raises:
        UserError: the file is damaged, or the hub refuses it.
    """
    if not re.fullmatch(REPOSITORY, repository, re.ASCII):
        raise UserError(f"a repository of the hub is OWNER/NAME, got {repository}")
    with PackageFile(path) as file:
        members = {name: file.read(name) for name in file.names}  # damage is noticed before anything is sent
    hub = _import_hub("s2s push")
    try:
        api = hub.HfApi()
        address = api.create_repo(repository, private=private, exist_ok=True)
        operations = [hub.CommitOperationAdd(path.name, path)]
        if CARD in members:
            operations.append(hub.CommitOperationAdd(CARD, members[CARD]))
        api.create_commit(repository, operations, commit_message=f"Upload {path.name}")
    except Exception as error:  # of the hub, of HTTP, of the network
        raise UserError(f"{repository}: cannot be pushed ({_reason(error)}); hf auth login stores a token") from None
    return str(address)


def _import_hub(feature: str) -> Any:
    check_installed(feature, "hub", {"huggingface_hub": "huggingface_hub"})
    import huggingface_hub

    return huggingface_hub


def _reason(error: Exception) -> str:
    """Return the line of an error that says what is wrong; the hub's begin with the request."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return show(" ".join(lines[:2]) or type(error).__name__, 200)[1:-1]
