"""Getting data by package name or public URL, cached and without touching the system.

Everything here returns a path below ``cache``. A result is built in a ``.partial`` neighbour and renamed when
it is finished, so what carries the final name is always whole: a second call does nothing, and what a killed
process left behind is redone. Two processes that want the same thing wait for each other (a lock file).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path

from s2s_plugin.corpora.archive import unpack
from s2s_plugin.corpora.download import BY_HAND, download_file
from s2s_plugin.errors import UserError
from s2s_plugin.utils.console import say
from s2s_plugin.utils.io import build_folder, file_sha256, locked

PACKAGE_NOTE = ".package.json"  # in every unpacked package: name, file (with the version), sha256
APT_HELPER = "/usr/lib/apt/apt-helper"
PACKED_LISTS = (".lz4", ".gz", ".xz", ".zst", ".bz2")  # as apt keeps them

APT_CONF = """\
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear Acquire::Languages;
Acquire::Languages {{ "{language}"; }};
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
APT::Sandbox::User "root";
Dir::State::Lists "{state}/lists";
Dir::Cache "{state}/cache";
"""


# --- packages ---------------------------------------------------------------------------------------------


def has_apt() -> bool:
    """Whether this machine has the apt-get client."""
    return shutil.which("apt-get") is not None


def apt_package(name: str, cache: Path) -> Path:
    """Folder with the unpacked content of the Debian package ``name`` (no root, no system state).

    Raises:
        UserError: no apt-get here, or the package cannot be had; says why and how to mend it.
    """
    return _package(name, Path(cache) / "apt" / name, lambda folder: _apt_download(name, Path(cache), folder))


def apt_lists(language: str, cache: Path) -> Path:
    """Folder with apt's package lists, unpacked: ``*_Packages`` and, with descriptions, ``*_Translation-<language>``.

    Raises:
        UserError: no apt-get here, or the lists cannot be had.
    """

    def build(partial: Path) -> None:
        say(f"fetching apt's package lists with descriptions ({language})")
        state = _apt_state(Path(cache))
        with locked(state / "lock"):
            conf = _apt_conf(state, language)
            try:
                _apt_get(conf, "update")
            except UserError as problem:
                raise UserError(f"cannot get apt's package lists: {problem}; {BY_HAND}") from None
            for path in sorted((state / "lists").iterdir()):
                name = path.name.removesuffix(path.suffix if path.suffix in PACKED_LISTS else "")
                if name.endswith(("_Packages", f"_Translation-{language}")):
                    command = [APT_HELPER, "-c", str(conf), "cat-file", str(path)]  # knows lz4 and others
                    with (partial / name).open("wb") as file:
                        if subprocess.run(command, stdout=file, stderr=subprocess.DEVNULL).returncode:
                            raise UserError(f"apt-helper cannot read {path}; delete {state} and run again")
        if not any(partial.glob("*_Translation-*")):
            raise UserError(f"apt's sources have no descriptions ({language}); {BY_HAND}")

    return build_folder(Path(cache) / "apt" / f"lists-{language}", build)


def pip_package(requirement: str, cache: Path) -> Path:
    """Folder with the unpacked wheel or source of ``requirement`` (``name==version``), nothing installed."""

    def download(folder: Path) -> None:
        _client([sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(folder), requirement])

    return _package(requirement, Path(cache) / "pip" / _slug(requirement), download)


def npm_package(spec: str, cache: Path) -> Path:
    """Folder with the unpacked npm package ``spec`` (``name@version``); the files lie in ``package/``."""

    def download(folder: Path) -> None:
        if shutil.which("npm") is None:
            raise UserError("there is no npm on this machine (it comes with Node.js)")
        _client(["npm", "pack", spec, "--pack-destination", str(folder)])

    return _package(spec, Path(cache) / "npm" / _slug(spec), download)


def package_version(folder: Path) -> str:
    """Version of an unpacked package, from the file name it came in (``name_1.9-6_all.deb`` -> ``1.9-6``)."""
    file = json.loads((folder / PACKAGE_NOTE).read_text(encoding="utf-8"))["file"]
    if file.endswith(".deb"):
        return urllib.parse.unquote(file.split("_")[1])
    for ending in (".tgz", ".tar.gz", ".zip"):
        file = file.removesuffix(ending)
    return next((part for part in file.split("-")[1:] if part[:1].isdigit()), file)


def _apt_state(cache: Path) -> Path:
    """Where apt keeps its lists and packages, in place of the system's folders."""
    return (cache / "apt-state").resolve()


def _apt_conf(state: Path, language: str = "none") -> Path:
    """apt's configuration for this folder. An update fetches descriptions in the language too, or in none."""
    for folder in ("lists/partial", "cache/archives/partial"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    conf = state / f"apt-{language}.conf"
    conf.write_text(APT_CONF.format(state=state, language=language), encoding="utf-8")
    return conf


def _apt_get(conf: Path, *arguments: str, cwd: Path | None = None) -> str:
    """Run ``apt-get``; its error output (warnings, if it worked)."""
    if not has_apt():
        raise UserError("there is no apt-get on this machine")
    return _client(["apt-get", "-c", str(conf), *arguments], cwd=cwd)


def _apt_download(name: str, cache: Path, folder: Path) -> None:
    """Download ``name`` into ``folder``; missing or outdated package lists are fetched (again)."""
    state = _apt_state(cache)
    updated = state / "updated"
    with locked(state / "lock"):
        conf = _apt_conf(state)
        if updated.exists():
            try:
                _apt_get(conf, "download", name, cwd=folder)
                return
            except UserError:
                pass  # old lists name versions that are gone
        warnings = _apt_get(conf, "update")
        try:
            _apt_get(conf, "download", name, cwd=folder)
        except UserError as problem:
            unreached = _error_line(warnings)
            raise UserError(f"{problem} (update said: {unreached})" if unreached else str(problem)) from None
        updated.touch()


def _package(name: str, folder: Path, download: Callable[[Path], None]) -> Path:
    """``folder`` with the content of the one archive that ``download`` puts into the folder it is given."""

    def build(partial: Path) -> None:
        archives = partial / ".archive"
        archives.mkdir(parents=True)
        say(f"fetching package {name}")
        try:
            download(archives)
            archive = next(iter(sorted(archives.iterdir())), None)
            if archive is None:
                raise UserError("the client left no file")
        except UserError as problem:
            raise UserError(f"cannot get package {name}: {problem}; {BY_HAND}") from None
        unpack(archive, partial)
        note = {"name": name, "file": archive.name, "sha256": file_sha256(archive)}
        (partial / PACKAGE_NOTE).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(archives)

    return build_folder(folder, build)


def _client(command: list[str], cwd: Path | None = None) -> str:
    """Run a package client, its progress on the terminal; its error output, as one UserError if it failed."""
    progress = sys.stderr if sys.stderr.isatty() else subprocess.DEVNULL
    done = subprocess.run(command, cwd=cwd, stdout=progress, stderr=subprocess.PIPE, text=True, errors="replace")
    if done.returncode:
        client = "pip" if "pip" in command else command[0]
        line = _error_line(done.stderr) or f"exit code {done.returncode}"
        raise UserError(f"{client}: {line}")
    return done.stderr


def _error_line(text: str) -> str:
    """The line of a client's error output that says most: apt's and pip's last, npm's first sentence."""
    lines = [line.strip() for line in text.splitlines() if len(line.split()) > 3]
    npm = [line for line in lines if line.startswith(("npm error", "npm ERR!")) and len(line.split()) > 5]
    return next(iter(npm), "") or next((x for x in lines[::-1] if x.startswith(("E:", "W: Failed", "ERROR:"))), "")


def _slug(spec: str) -> str:
    return "".join(c if c.isalnum() or c in "-._=" else "+" for c in spec)


# --- public URLs ------------------------------------------------------------------------------------------


def url_file(url: str, cache: Path, sha256: str | None = None) -> Path:
    """The file at ``url``, downloaded once; a download that was cut continues at the next try.

    Checked against the server's content length, and against ``sha256`` (hex) if given.

    Raises:
        UserError: it cannot be had, or is not the file that ``sha256`` names.
    """
    name = Path(urllib.parse.unquote(urllib.parse.urlsplit(url).path)).name or "index"
    path = Path(cache) / "url" / hashlib.sha256(url.encode()).hexdigest()[:8] / name
    part = path.with_name(name + ".part")
    with locked(path.with_name(name + ".lock")):
        if path.exists() and (sha256 is None or file_sha256(path) == sha256):
            return path
        for fresh_start in (False, True):  # a wrong checksum may come from a spoilt .part: start again once
            if fresh_start:
                part.unlink(missing_ok=True)
            download_file(url, part)
            if sha256 is None or file_sha256(part) == sha256:
                part.replace(path)
                return path
        part.unlink()
    raise UserError(f"{url}: not the expected file (sha256 differs from {sha256}); {BY_HAND}")


def url_archive(url: str, cache: Path, sha256: str | None = None) -> Path:
    """The folder with the content of the archive at ``url``; see :func:`url_file`."""
    archive = url_file(url, cache, sha256)
    return build_folder(archive.with_name(archive.name + ".unpacked"), lambda folder: unpack(archive, folder))


# --- shared -----------------------------------------------------------------------------------------------


def first_that_works(ways: Mapping[str, Callable[[], Path]]) -> Path:
    """The first of several ways to get the same data that works; ``ways`` maps a short name to each.

    Raises:
        UserError: none works; the message holds the reason of each.
    """
    problems = []
    for name, way in ways.items():
        try:
            return way()
        except UserError as problem:
            problems.append(f"[{name}] {problem}")
    raise UserError(" ".join(problems))
