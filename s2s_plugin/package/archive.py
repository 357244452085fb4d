"""Read and write the archive: every name and size is checked before a member is read, every digest after.

The members are ``s2s.json`` (below), ``model.safetensors``, ``config.yaml`` and ``checkpoint.json`` (the configs of the
run and of the checkpoint), ``README.md`` (the model card), ``examples.json`` with media in ``examples/``, and in
``data/`` the dictionaries, the codec and what else decoding reads. Nothing in it is executed.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import atomic_path, check_shape
from s2s_plugin.utils.untrusted import require_file, show

SUFFIX = ".s2s"
MANIFEST, WEIGHTS, CONFIG, CHECKPOINT = "s2s.json", "model.safetensors", "config.yaml", "checkpoint.json"
CARD, EXAMPLES = "README.md", "examples.json"
REQUIRED = (MANIFEST, WEIGHTS, CONFIG, CHECKPOINT, EXAMPLES)
# No separators of any system, nothing hidden, no device of Windows (a: or con).
MEMBER = re.compile(r"(?:(?:data|data/text|data/features|examples)/)?(?!\.)[^/\\:*?\"<>|\x00-\x1f\x7f]{1,200}(?<![. ])")
MAJOR, MINOR = 1, 0  # a reader takes any file of its major version; a newer minor one may have more in it
MAX_MEMBERS = 500
MAX_RATIO = 200  # of uncompressed to compressed bytes; of text it is below 20
MAX_MANIFEST_BYTES = 2**20
MAX_BYTES = 2**35
SHAPE = {"format": str, "files": {str: {"size": int, "sha256": str}}, "app": str, "modality": str, "precision": str}
SHAPE |= {"version": str, "languages": [str]}
REMEDY = "export the model again, or ask for another copy"


def is_package(path: str | Path) -> bool:
    """Return whether a name is that of a packaged model."""
    return str(path).endswith(SUFFIX)


def write_package(path: Path, members: Mapping[str, bytes], about: Mapping[str, Any]) -> None:
    """Write a packaged model whole or not at all.

    Args:
        path: of the file.
        members: content by name.
        about: what ``s2s.json`` says of the model, as in ``SHAPE``.
    """
    files = {
        name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()} for name, content in members.items()
    }
    manifest = {"format": f"{MAJOR}.{MINOR}", **about, "files": files}
    with atomic_path(path) as partial, zipfile.ZipFile(partial, "w") as archive:
        for name, content in ((MANIFEST, json.dumps(manifest, indent=1).encode()), *members.items()):
            member = zipfile.ZipInfo(name)  # of 1980: the same model makes the same file
            member.compress_type = zipfile.ZIP_STORED if name == WEIGHTS else zipfile.ZIP_DEFLATED
            archive.writestr(member, content)


class PackageFile:
    """An open packaged model, which may be a stranger's.

    Attributes:
        about: what ``s2s.json`` says of the model.
        names: of the members other than ``s2s.json``.

    Raises:
        UserError: it is no such file, of another major version, or has a member that none of ours has.
    """

    def __init__(self, path: Path):
        self.path = path
        require_file(path, "packaged model")
        try:
            self.archive = zipfile.ZipFile(path)
        except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
            raise self._error(f"not a packaged model, or cut short ({show(str(error))[1:-1]})") from None
        try:
            self.members = self._check_members()
            self.about = self._read_manifest()
        except BaseException:
            self.archive.close()
            raise
        self.names = sorted(self.about["files"])

    def __enter__(self) -> PackageFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.archive.close()

    def read(self, name: str) -> bytes:
        """Return the content of a member.

        Raises:
            UserError: it is damaged.
        """
        content = self._read(name)
        if hashlib.sha256(content).hexdigest() != self.about["files"][name]["sha256"]:
            raise self._error(f"{show(name)} has another content than s2s.json says")
        return content

    def read_json(self, name: str, shape: Any) -> Any:
        """Return a JSON member of this shape, see ``check_shape``."""
        return self._parse(name, self.read(name), shape)

    def _check_members(self) -> dict[str, zipfile.ZipInfo]:
        """Return the members by name; nothing of them has been read yet."""
        infos = self.archive.infolist()
        size = self.path.stat().st_size
        if len(infos) > MAX_MEMBERS:
            raise self._error(f"at most {MAX_MEMBERS} members are read, got {len(infos):,}")
        members: dict[str, zipfile.ZipInfo] = {}
        for info in infos:
            if not MEMBER.fullmatch(info.filename) or info.filename.lower() in members:
                raise self._error(f"a member must not be called {show(info.filename)}, or twice the same")
            if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise self._error(f"{show(info.filename)} is encrypted or compressed in another way")
            if info.external_attr >> 28 not in (0, 8):  # a regular file, or of a system without kinds
                raise self._error(f"{show(info.filename)} is no regular file")
            members[info.filename.lower()] = info
        total = sum(info.file_size for info in infos)
        weights = members.get(WEIGHTS)
        if total > min(MAX_BYTES, MAX_RATIO * size) or (weights and weights.compress_type != zipfile.ZIP_STORED):
            raise self._error(f"{size:,} bytes must not unpack to {total:,}")
        return {info.filename: info for info in members.values()}

    def _read_manifest(self) -> dict[str, Any]:
        if MANIFEST not in self.members or self.members[MANIFEST].file_size > MAX_MANIFEST_BYTES:
            raise self._error(f"no {MANIFEST}, or too large")
        about = self._parse(MANIFEST, self._read(MANIFEST), None)
        version = str(about.get("format")) if isinstance(about, dict) else ""
        match = re.fullmatch(r"(\d{1,4})\.(\d{1,4})", version)
        if match is None or int(match[1]) != MAJOR:
            rule = f"this version of s2s reads format {MAJOR}.x"
            raise self._error(f"{rule}, got {show(version)}; use the version of s2s that wrote it", remedy="")
        unknown = set(about) - set(SHAPE)
        if unknown and int(match[2]) <= MINOR:
            raise self._error(f"{MANIFEST}: unknown key {show(min(unknown))}")
        about = {key: value for key, value in about.items() if key not in unknown}
        self._check(MANIFEST, about, SHAPE)
        listed, present = set(about["files"]), set(self.members) - {MANIFEST}
        if missing := (set(REQUIRED) - {MANIFEST} - present) | (listed - present):
            raise self._error(f"{show(min(missing))} is missing")
        if present - listed:
            raise self._error(f"{show(min(present - listed))} is not in {MANIFEST}")
        for name, entry in about["files"].items():
            if entry["size"] != self.members[name].file_size:
                raise self._error(f"{show(name)} has another size than {MANIFEST} says")
        return about

    def _read(self, name: str) -> bytes:
        info = self.members[name]
        try:
            content = self.archive.read(info)
        except Exception as error:  # of a damaged archive, zipfile and zlib raise anything
            raise self._error(f"{show(name)} is damaged ({show(str(error))[1:-1]})") from None
        if len(content) != info.file_size:
            raise self._error(f"{show(name)} is damaged")
        return content

    def _parse(self, name: str, content: bytes, shape: Any) -> Any:
        try:
            value = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise self._error(f"{name}: not JSON ({show(str(error))[1:-1]})") from None
        if shape is not None:
            self._check(name, value, shape)
        return value

    def _check(self, name: str, value: Any, shape: Any) -> None:
        try:
            check_shape(value, shape)
        except ValueError as error:
            raise self._error(f"{name}: {show(str(error), 120)[1:-1]}") from None

    def _error(self, problem: str, remedy: str = REMEDY) -> UserError:
        return UserError(f"{self.path}: {problem}" + (f"; {remedy}" if remedy else ""))
