"""Download from a real web server on this machine, and with the real client if there is one."""

from __future__ import annotations

import hashlib
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest
from recipes import serving

from s2s_plugin.corpora import packages
from s2s_plugin.corpora.download import url_file
from s2s_plugin.corpora.packages import (
    _error_line,
    apt_package,
    apt_package_or,
    has_apt,
    npm_package,
    pip_package,
)
from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import build_folder

CONTENT = bytes(i * i % 251 for i in range(300_000))
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``CONTENT`` with Range; ``cuts`` holds after how many bytes the next connections break off."""

    cuts: list[int] = []
    ranges: list[str | None] = []
    etag = '"one"'

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        Handler.ranges.append(wanted)
        if self.path.endswith("missing"):
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if self.headers.get("If-Range", self.etag) != self.etag:
            start = 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.send_header("ETag", self.etag)
        self.end_headers()
        body = CONTENT[start:]
        self.wfile.write(body[: Handler.cuts.pop(0)] if Handler.cuts else body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server():
    Handler.cuts, Handler.ranges, Handler.etag = [], [], '"one"'
    with serving(Handler) as address:
        yield address


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


def part_of(url: str, cache: Path) -> Path:
    folder = cache / "url" / hashlib.sha256(url.encode()).hexdigest()[:8]
    folder.mkdir(parents=True, exist_ok=True)
    return folder / (url.rsplit("/", 1)[1] + ".part")


def test_download_is_whole_and_happens_once(server, tmp_path):
    path = url_file(f"{server}/data.bin", tmp_path, SHA256)
    assert path.name == "data.bin"
    assert path.read_bytes() == CONTENT
    assert url_file(f"{server}/data.bin", tmp_path, SHA256) == path
    assert Handler.ranges == [None]


def test_cut_connection_is_continued(server, tmp_path):
    Handler.cuts = [100_000, 50_000]
    path = url_file(f"{server}/data.bin", tmp_path)
    assert path.read_bytes() == CONTENT
    assert Handler.ranges == [None, "bytes=100000-", "bytes=150000-"]


def test_next_call_continues_what_an_earlier_one_left(server, tmp_path):
    Handler.cuts = [100_000, 20_000, 30_000]
    with pytest.raises(UserError, match=r"data\.bin: the connection was cut 150,000 bytes before the end"):
        url_file(f"{server}/data.bin", tmp_path)
    assert url_file(f"{server}/data.bin", tmp_path).read_bytes() == CONTENT
    assert Handler.ranges[-1] == "bytes=150000-"
    assert not list(tmp_path.rglob("*.part*"))


def test_corrupt_part_is_fetched_anew_once(server, tmp_path):
    url = f"{server}/data.bin"
    part_of(url, tmp_path).write_bytes(b"x" * 1000)
    assert url_file(url, tmp_path, SHA256).read_bytes() == CONTENT
    assert Handler.ranges == ["bytes=1000-", None]


def test_part_of_another_version_is_not_continued(server, tmp_path):
    Handler.cuts = [1000, 0, 0]
    with pytest.raises(UserError):
        url_file(f"{server}/data.bin", tmp_path)
    Handler.etag = '"two"'
    part = part_of(f"{server}/data.bin", tmp_path)
    part.write_bytes(b"old" * 100)
    assert url_file(f"{server}/data.bin", tmp_path).read_bytes() == CONTENT


def test_part_longer_than_the_file_is_dropped(server, tmp_path):
    url = f"{server}/data.bin"
    part_of(url, tmp_path).write_bytes(CONTENT + b"more")
    assert url_file(url, tmp_path).read_bytes() == CONTENT


def test_wrong_checksum_is_an_error_and_leaves_nothing(server, tmp_path):
    with pytest.raises(UserError, match=r"data\.bin: sha256 must be 0000"):
        url_file(f"{server}/data.bin", tmp_path, "0" * 64)
    assert len(Handler.ranges) == 2
    assert not [path for path in tmp_path.rglob("data.bin*") if path.suffix != ".lock"]


def test_corrupt_file_in_the_cache_is_fetched_again(server, tmp_path):
    path = url_file(f"{server}/data.bin", tmp_path, SHA256)
    path.write_bytes(b"corrupt")
    assert url_file(f"{server}/data.bin", tmp_path, SHA256).read_bytes() == CONTENT


def test_not_found_names_url_and_remedy(server, tmp_path):
    with pytest.raises(UserError, match=r"/missing: HTTP 404 .*--from FOLDER"):
        url_file(f"{server}/missing", tmp_path)
    assert len(Handler.ranges) == 1  # asking again would not help


def test_no_server_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"cannot download http://127\.0\.0\.1:9/x: .*refused"):
        url_file("http://127.0.0.1:9/x", tmp_path)


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
    calls = []

    def build(folder: Path) -> None:
        calls.append(folder)
        threading.Event().wait(0.05)
        (folder / "all").write_text("x")

    threads = [threading.Thread(target=build_folder, args=(tmp_path / "thing", build)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_without_apt_another_way_is_tried(tmp_path, monkeypatch):
    def fails() -> Path:
        raise UserError("no server")

    monkeypatch.setattr(packages.shutil, "which", lambda name: None)
    assert apt_package_or("toy", tmp_path, lambda: tmp_path) == (tmp_path, None)
    with pytest.raises(UserError, match=r"cannot get package toy: apt-get is not installed; .*; no server"):
        apt_package_or("toy", tmp_path, fails)


# --- package clients --------------------------------------------------------------------------------------


def test_missing_clients_are_user_errors(tmp_path, monkeypatch):
    monkeypatch.setattr(packages.shutil, "which", lambda name: None)
    assert not has_apt()
    with pytest.raises(UserError, match=r"cannot get package toy: apt-get is not installed; .*--from FOLDER"):
        apt_package("toy", tmp_path)
    with pytest.raises(UserError, match=r"cannot get package toy: npm is not installed"):
        npm_package("toy", tmp_path)


def test_client_errors_name_the_line_that_helps():
    apt = "Reading package lists...\nE: Unable to locate package toy\n"
    npm = (
        "npm error code E404\nnpm error 404 Not Found - GET toy - Not found\nnpm error 404\n"
        "npm error A complete log of this run can be found in: /tmp/log\n"
    )
    assert _error_line(apt) == "E: Unable to locate package toy"
    assert _error_line(npm) == "npm error 404 Not Found - GET toy - Not found"
    assert _error_line("W: something small\n") == ""


def test_pip_package_from_a_local_source(tmp_path):
    """pip takes a path as a requirement: the whole way without a registry."""
    wheel = tmp_path / "toy-1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("toy/data.txt", "eins")
        packed.writestr("toy-1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: toy\nVersion: 1.2\n")
        packed.writestr("toy-1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        packed.writestr("toy-1.2.dist-info/RECORD", "")
    folder = pip_package(str(wheel), tmp_path / "cache")
    assert (folder / "toy/data.txt").read_text() == "eins"


def test_apt_package_for_real(tmp_path):
    if not has_apt():
        pytest.skip("no apt-get on this machine")
    try:
        folder = apt_package("trans-de-en", tmp_path)
    except UserError as problem:
        pytest.skip(f"the package registry cannot be reached: {problem}")
    with (folder / "usr/share/trans/de-en").open(encoding="utf-8") as file:
        assert sum(" :: " in line for line in file) > 100_000
    assert apt_package_or("trans-de-en", tmp_path, Path)[1][0].isdigit()
    with pytest.raises(UserError, match=r"cannot get package s2s-no-such-package: apt-get: E: .*--from FOLDER"):
        apt_package("s2s-no-such-package", tmp_path)
