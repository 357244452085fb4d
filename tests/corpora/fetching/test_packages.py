"""Packages of the real clients, where there are any."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from archives import file, tar_bytes
from recipes import ANY_CONTENT

from s2s_plugin.corpora.fetching import packages
from s2s_plugin.corpora.fetching.download import Expected
from s2s_plugin.corpora.fetching.packages import (
    _error_line,
    apt_descriptions,
    apt_package,
    apt_package_or,
    has_apt,
    npm_package,
    pip_package,
)
from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import build_folder, file_sha256

# --- caching ----------------------------------------------------------------------------------------------


def test_killed_unpack_is_redone(tmp_path):
    """A process killed in the middle leaves no finished folder, and the next call makes it whole."""
    program = (
        "import sys, time; from pathlib import Path; from s2s_plugin.utils.io import build_folder\n"
        "def build(folder):\n"
        "    (folder / 'half').write_text('x'); print('half', flush=True); time.sleep(60)\n"
        "build_folder(Path(sys.argv[1]), build)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "thing")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        os.kill(process.pid, signal.SIGKILL)
    assert not (tmp_path / "thing").exists()
    folder = build_folder(tmp_path / "thing", lambda partial: (partial / "all").touch())
    assert [path.name for path in folder.iterdir()] == ["all"]
    calls: list[Path] = []
    assert build_folder(tmp_path / "thing", calls.append) == folder
    assert calls == []


def test_failed_build_leaves_nothing(tmp_path):
    def build(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise UserError("broken")

    with pytest.raises(UserError):
        build_folder(tmp_path / "thing", build)
    assert [path.name for path in tmp_path.iterdir()] == [".thing.lock"]


def test_two_at_once_build_once(tmp_path):
    def build(folder: Path) -> None:
        with (tmp_path / "calls").open("a") as file:
            file.write("call\n")
        time.sleep(0.05)
        (folder / "all").write_text("x")

    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=build_folder, args=(tmp_path / "thing", build)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert (tmp_path / "calls").read_text() == "call\n"


def test_without_apt_another_way_is_tried(tmp_path, monkeypatch):
    def fails() -> Path:
        raise UserError("no server")

    monkeypatch.setattr(packages.shutil, "which", lambda name: None)
    assert apt_package_or("toy", tmp_path, ANY_CONTENT, lambda: tmp_path) == (tmp_path, None)
    with pytest.raises(UserError, match=r"cannot get package toy: apt-get is not installed; .*; no server"):
        apt_package_or("toy", tmp_path, ANY_CONTENT, fails)


# --- package clients --------------------------------------------------------------------------------------


def test_missing_clients_are_user_errors(tmp_path, monkeypatch):
    monkeypatch.setattr(packages.shutil, "which", lambda name: None)
    assert not has_apt()
    with pytest.raises(UserError, match=r"cannot get package toy: apt-get is not installed; .*--from FOLDER"):
        apt_package("toy", tmp_path, ANY_CONTENT)
    with pytest.raises(UserError, match=r"cannot get package toy: npm is not installed"):
        npm_package("toy", tmp_path, ANY_CONTENT)


def test_client_errors_name_the_line_that_helps():
    apt = "Reading package lists...\nE: Unable to locate package toy\n"
    npm = (
        "npm error code E404\nnpm error 404 Not Found - GET toy - Not found\nnpm error 404\n"
        "npm error A complete log of this run can be found in: /tmp/log\n"
    )
    assert _error_line(apt) == "E: Unable to locate package toy"
    assert _error_line(npm) == "npm error 404 Not Found - GET toy - Not found"
    assert _error_line("W: something small\n") == ""


def fixed(path: Path) -> Expected:
    return Expected(path.stat().st_size, file_sha256(path))


def test_pip_package_from_a_local_source(tmp_path):
    """pip takes a path as a requirement: the whole way without a registry."""
    wheel = tmp_path / "toy-1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("toy/data.txt", "eins")
        packed.writestr("toy-1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: toy\nVersion: 1.2\n")
        packed.writestr("toy-1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        packed.writestr("toy-1.2.dist-info/RECORD", "")
    folder = pip_package(str(wheel), tmp_path / "cache", fixed(wheel))
    assert (folder / "toy/data.txt").read_text() == "eins"
    with pytest.raises(UserError, match=r"pip: ERROR: THESE PACKAGES DO NOT MATCH THE HASHES"):
        pip_package(str(wheel), tmp_path / "cache", Expected(1, "0" * 64))


def test_a_source_archive_is_not_taken(tmp_path, monkeypatch):
    """pip runs the setup.py of one to learn its name."""
    code = f"open({str(tmp_path / 'executed')!r}, 'w')\n".encode()
    archive = tmp_path / "toy-1.0.tar.gz"
    archive.write_bytes(tar_bytes([file("toy-1.0/setup.py", code)], "w:gz"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(UserError, match=r"pip: ERROR: No matching distribution found"):
        pip_package("toy==1.0", tmp_path / "cache", fixed(archive))
    assert not (tmp_path / "executed").exists()


def test_npm_package_from_a_local_source(tmp_path):
    if shutil.which("npm") is None:
        pytest.skip("no npm on this machine")
    script = (
        b'{"name": "toy", "version": "1.0.0", "scripts": {"prepack": "touch executed", "prepare": "touch executed"}}'
    )
    archive = tmp_path / "toy-1.0.0.tgz"
    archive.write_bytes(tar_bytes([file("package/package.json", script), file("package/data", b"eins")], "w:gz"))
    folder = npm_package(str(archive), tmp_path / "cache", fixed(archive))
    assert (folder / "package/data").read_text() == "eins"
    assert not list(tmp_path.rglob("executed"))
    with pytest.raises(UserError, match=r"sha256 must be 0000.*, got .*--from FOLDER"):
        npm_package(str(archive), tmp_path / "cache", Expected(archive.stat().st_size, "0" * 64))


@pytest.mark.slow  # as slow as the network
def test_apt_package_for_real(tmp_path):
    if not has_apt():
        pytest.skip("no apt-get on this machine")
    try:
        folder = apt_package("trans-de-en", tmp_path, ANY_CONTENT)
    except UserError as problem:
        pytest.skip(f"the package registry cannot be reached: {problem}")
    with (folder / "usr/share/trans/de-en").open(encoding="utf-8") as dictionary:
        assert sum(" :: " in line for line in dictionary) > 100_000
    assert apt_package_or("trans-de-en", tmp_path, ANY_CONTENT, Path)[1][0].isdigit()
    with pytest.raises(UserError, match=r"cannot get package s2s-no-such-package: apt-get: E: .*--from FOLDER"):
        apt_package("s2s-no-such-package", tmp_path, ANY_CONTENT)
    with pytest.raises(UserError, match=r"cannot get package trans-de-en: its size must be 1 to 5 bytes, got"):
        apt_package("trans-de-en", tmp_path / "other", Expected((1, 5)))
    lists = list(apt_descriptions(["en", "de"], tmp_path, ANY_CONTENT).iterdir())
    assert {path.name.rpartition("-")[2] for path in lists} == {"en", "de"}
    with pytest.raises(UserError, match=r"cannot get descriptions in xx by apt-get: .*--from FOLDER"):
        apt_descriptions(["xx"], tmp_path, ANY_CONTENT)
