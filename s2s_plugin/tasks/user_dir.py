"""``common.user_dir``: a user's own package, whose import registers parts, as fairseq's ``--user-dir`` does.

Only the user may name it: on the command line, or in a file of ``--config-dir``. The packages that were named so are
noted in the user's cache folder. A run stores the name of its package, which is imported later if it is among these: a
stranger's run imports nothing.
"""

from __future__ import annotations

import traceback
from argparse import Namespace
from contextlib import suppress
from pathlib import Path

from fairseq.utils import import_user_module

from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import read_json, write_json
from s2s_plugin.utils.paths import PACKAGE, default_cache, relative_to_cwd

IMPORTED: list[Path] = []  # in this process, the last one last; this package itself if the user wants no other


def user_dir() -> Path:
    """Return the package that fairseq has to import: the user's, which imports this one, or this one."""
    return IMPORTED[-1] if IMPORTED and IMPORTED[-1] != PACKAGE else relative_to_cwd(PACKAGE)


def import_named(folder: str | None) -> None:
    """Import a package that the user has named, and note its name; without a name, none but this one is wanted.

    Raises:
        UserError: it is not a package, or its import fails.
    """
    path = Path(folder).expanduser().resolve() if folder else PACKAGE
    _import(path)
    if path != PACKAGE:
        _note(path)


def import_stored(folder: object, source: Path) -> None:
    """Import the package that the config of a run names, unless the user has named one.

    Raises:
        UserError: the user has never named it, or its import fails.
    """
    if IMPORTED or not isinstance(folder, str) or Path(folder).name == PACKAGE.name:
        return
    path, made = Path(folder), f"{source}: made with the code in {folder}"
    if not path.is_dir():
        raise UserError(
            f"{made}, which is not there: add common.user_dir=FOLDER, or common.user_dir=null to do without"
        )
    if str(path) not in _noted():
        raise UserError(
            f"{made}, which you have never named: add common.user_dir={path} if you trust it, else common.user_dir=null"
        )
    _import(path)


def _import(path: Path) -> None:
    if path != PACKAGE:
        if not (path / "__init__.py").is_file():
            raise UserError(f"common.user_dir must be a folder with __init__.py, got {path}")
        try:
            import_user_module(Namespace(user_dir=str(path)))
        except UserError:
            raise
        except Exception as error:  # of the user's code
            frames = [each for each in traceback.extract_tb(error.__traceback__) if each.filename.startswith(str(path))]
            place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else path
            raise UserError(f"{place}: cannot be imported ({type(error).__name__}: {error})") from error
    IMPORTED.append(path)


def _list() -> Path:
    return default_cache() / "user_dirs.json"


def _noted() -> list[str]:
    with suppress(RuntimeError):  # there is no home
        return (read_json(_list(), {"user_dirs": [str]}, "delete it") or {}).get("user_dirs", [])
    return []


def _note(path: Path) -> None:
    with suppress(UserError, RuntimeError):  # it cannot be written: the user has to name the package each time
        if str(path) not in (noted := _noted()):
            write_json(_list(), {"user_dirs": [*noted, str(path)]})
