"""Fetch Debian, pip and npm packages by name, unpacked below a cache folder, without root or system state.

No code of a package is run. Functions raise UserError if the client is missing, or the package cannot be had or is not
as expected.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from s2s_plugin.corpora.fetching.archive import unpack
from s2s_plugin.corpora.fetching.download import MANUAL_HINT, Expected
from s2s_plugin.errors import UserError
from s2s_plugin.utils.console import say
from s2s_plugin.utils.io import build_folder, file_sha256, locked, read_json, write_json

PACKAGE_NOTE = ".package.json"  # in every unpacked package: name, file (with the version), sha256
LARGEST = 1 << 30  # bytes that a client may write to one file

APT_CONF = """\
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear Acquire::Languages;
Acquire::Languages {{ {languages} }};
Acquire::GzipIndexes "false";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
APT::Sandbox::User "root";
Dir::State::Lists "{state}/lists";
Dir::Cache "{state}/cache";
"""


def has_apt() -> bool:
    """Return whether this machine has the apt-get client."""
    return shutil.which("apt-get") is not None


def apt_package(name: str, cache: Path, expected: Expected) -> Path:
    """Return the folder with the content of the Debian package ``name``; apt checks its signature."""
    download = partial(_apt_download, name, Path(cache))
    return _package(name, Path(cache) / "apt" / name, expected, download)


def apt_package_or(
    name: str, cache: Path, expected: Expected, otherwise: Callable[[], Path]
) -> tuple[Path, str | None]:
    """Return the folder of a Debian package and its version, or what ``otherwise`` returns, and None, without apt."""
    try:
        folder = apt_package(name, cache, expected)
        return folder, urllib.parse.unquote(read_json(folder / PACKAGE_NOTE)["file"].split("_")[1])  # toy_1.9-6_all.deb
    except UserError as problem:
        try:
            return otherwise(), None
        except UserError as other:
            raise UserError(f"{problem}; {other}") from None


def apt_descriptions(languages: Sequence[str], cache: Path, expected: Expected) -> Path:
    """Return a folder with the descriptions of all packages that apt knows, ``*_Translation-de`` for ``de``.

    ``expected``: the largest list of a language; apt checks signatures.
    """

    def build(folder: Path) -> None:
        with _apt_conf(Path(cache), languages) as conf:
            warnings = _client(["apt-get", "-c", str(conf), "update"])
            for lang in languages:
                lists = list((conf.parent / "lists").glob(f"*_Translation-{lang}"))
                if not lists:
                    problem = _error_line(warnings) or "it has none"
                    raise UserError(f"cannot get descriptions in {lang} by apt-get: {problem}; {MANUAL_HINT}")
                largest = max(lists, key=lambda path: path.stat().st_size)
                if problem := expected.problem(largest):
                    raise UserError(f"cannot get descriptions in {lang} by apt-get: {largest.name}: {problem}")
                for path in lists:
                    shutil.copy(path, folder)

    return build_folder(Path(cache) / "apt-descriptions" / "-".join(languages), build)


def pip_package(requirement: str, cache: Path, expected: Expected) -> Path:
    """Return the folder with the content of the wheel of ``requirement`` (``name==version``)."""
    options = ["--no-deps", "--only-binary", ":all:", "--require-hashes"]
    command = [sys.executable, "-m", "pip", "download", *options, "-r", "/dev/stdin", "--dest"]
    pinned = f"{requirement} --hash=sha256:{expected.sha256}\n"
    folder = Path(cache) / "pip" / _slug(requirement, expected)
    return _package(requirement, folder, expected, lambda to: _client([*command, str(to)], stdin=pinned))


def npm_package(spec: str, cache: Path, expected: Expected) -> Path:
    """Return the folder with the npm package ``spec`` (``name@version``); its files are in ``package/``."""
    command = ["npm", "pack", "--ignore-scripts", spec, "--pack-destination"]
    folder = Path(cache) / "npm" / _slug(spec, expected)
    return _package(spec, folder, expected, lambda to: _client([*command, str(to)]))


@contextmanager
def _apt_conf(cache: Path, languages: Sequence[str] = ("none",)) -> Iterator[Path]:
    """Lock the folder of apt's state below ``cache``, and yield the configuration file that makes apt use it.

    ``languages``: of the descriptions that an update fetches.
    """
    if not has_apt():
        raise UserError("apt-get is not installed")
    state = (cache / "apt-state").resolve()
    with locked(state / "lock"):
        for folder in ("lists/partial", "cache/archives/partial"):
            (state / folder).mkdir(parents=True, exist_ok=True)
        conf = state / "apt.conf"
        conf.write_text(
            APT_CONF.format(state=state, languages="".join(f'"{lang}"; ' for lang in languages)), encoding="utf-8"
        )
        yield conf


def _apt_download(name: str, cache: Path, folder: Path) -> None:
    """Download ``name`` into ``folder``, after an update if package lists are missing or outdated."""
    with _apt_conf(cache) as conf:
        apt, updated = ["apt-get", "-c", str(conf)], conf.parent / "updated"
        if updated.exists():
            with suppress(UserError):  # old lists name versions that are gone
                _client([*apt, "download", name], cwd=folder)
                return
        warnings = _client([*apt, "update"])
        try:
            _client([*apt, "download", name], cwd=folder)
        except UserError as problem:
            unreached = _error_line(warnings)
            raise UserError(f"{problem} (update said: {unreached})" if unreached else str(problem)) from None
        updated.touch()


def _package(name: str, folder: Path, expected: Expected, download: Callable[[Path], object]) -> Path:
    """Return ``folder`` with the content of the one archive that ``download`` puts into the folder it is passed."""

    def build(folder: Path) -> None:
        archives = folder / ".archive"
        archives.mkdir(parents=True)
        say(f"fetching package {name}")
        try:
            download(archives)
            files = list(archives.iterdir())
            problem = expected.problem(files[0]) if len(files) == 1 else f"one file was expected, got {len(files)}"
            if problem:
                raise UserError(problem)
        except UserError as error:
            raise UserError(f"cannot get package {name}: {error}; {MANUAL_HINT}") from None
        unpack(files[0], folder)
        write_json(folder / PACKAGE_NOTE, {"name": name, "file": files[0].name, "sha256": file_sha256(files[0])})
        shutil.rmtree(archives)

    return build_folder(folder, build)


def _client(command: list[str], cwd: Path | None = None, stdin: str = "") -> str:
    """Run a package client with its progress on the terminal; return its error output, or raise it as a UserError."""
    if shutil.which(command[0]) is None:
        raise UserError(f"{command[0]} is not installed")
    streams: dict[str, Any] = {"stdout": sys.stderr if sys.stderr.isatty() else subprocess.DEVNULL}
    streams |= {"stderr": subprocess.PIPE, "input": stdin, "text": True, "errors": "replace"}
    done = subprocess.run(command, cwd=cwd, preexec_fn=_bound, **streams)
    if done.returncode:
        client = "pip" if "pip" in command else command[0]
        raise UserError(f"{client}: {_error_line(done.stderr) or f'exit code {done.returncode}'}")
    return done.stderr


def _bound() -> None:
    """Limit what a client, to be started in this process, may write to one file."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    limit = LARGEST if hard == resource.RLIM_INFINITY else min(LARGEST, hard)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))


def _error_line(text: str) -> str:
    """Return the most informative line of a client's error output: apt's and pip's last, npm's first sentence."""
    lines = [line.strip() for line in text.splitlines() if len(line.split()) > 3]
    npm = [line for line in lines if line.startswith(("npm error", "npm ERR!")) and len(line.split()) > 5]
    return next(iter(npm), "") or next((x for x in lines[::-1] if x.startswith(("E:", "W: Failed", "ERROR:"))), "")


def _slug(spec: str, expected: Expected) -> str:
    return "".join(c if c.isalnum() or c in "-._=" else "+" for c in spec) + f"-{expected.sha256[:8]}"
