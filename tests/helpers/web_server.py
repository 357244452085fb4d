"""Web servers on this machine: of a folder, and one that cuts connections, lies about its files or sends others."""

from __future__ import annotations

import atexit
import functools
import hashlib
import http.server
import shutil
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from s2s_plugin.corpora.fetching.download import Expected

CONTENT = bytes(i * i % 251 for i in range(300_000))
EXPECTED = Expected(len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
PAGE = b"\n <!DOCTYPE html>\n<html><title>Log in</title></html>"


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``CONTENT`` with Range; ``cuts`` holds after how many bytes the next connections break off."""

    cuts: list[int] = []
    ranges: list[str | None] = []
    etag = '"one"'
    headers_of_all: dict[str, str | None] = {}  # in place of the usual ones
    body = CONTENT
    to = ""

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        Handler.ranges.append(wanted)
        if self.path.endswith("missing"):
            self.send_error(404)
            return
        if self.path.endswith("moved"):
            self.send_response(302)
            self.send_header("Location", Handler.to)
            self.end_headers()
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if self.headers.get("If-Range", self.etag) != self.etag:
            start = 0
        if start >= len(self.body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        headers: dict[str, str | None] = {"Content-Length": str(len(self.body) - start), "ETag": self.etag}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(self.body) - 1}/{len(self.body)}"
        for key, value in (headers | self.headers_of_all).items():
            if value is not None:
                self.send_header(key, value)
        self.end_headers()
        body = self.body[start:]
        self.wfile.write(body[: Handler.cuts.pop(0)] if Handler.cuts else body)

    def log_message(self, *args: object) -> None:
        pass


class Chunked(Handler):
    """Serves the body in chunks of HTTP/1.1, and cuts the last one off."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(self.body), self.body) + (b"" if "cut" in self.path else b"0\r\n\r\n"))
        self.close_connection = True


def part_of(url: str, cache: Path) -> Path:
    folder = cache / "url" / hashlib.sha256(url.encode()).hexdigest()[:8]
    folder.mkdir(parents=True, exist_ok=True)
    return folder / (url.rsplit("/", 1)[1] + ".part")


def write_part(url: str, cache: Path, content: bytes, tag: str = '"one"') -> None:
    part = part_of(url, cache)
    part.write_bytes(content)
    part.with_name(part.name + ".tag").write_text(tag)


def nothing_left(cache: Path) -> bool:
    return not [path for path in cache.rglob("*") if path.is_file() and path.suffix not in (".lock", ".tag")]


class Files(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, silently."""

    def log_message(self, *args: object) -> None:
        pass


@functools.cache
def _certificate() -> Path:
    """A certificate of this machine with its key, in one file that goes with the process."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine")
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    files = ["-keyout", folder / "key.pem", "-out", folder / "certificate.pem"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    about = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(["openssl", "req", "-x509", *kind, *files, *about], check=True, stderr=subprocess.DEVNULL)
    return folder


@contextmanager
def serving(
    handler: type[http.server.BaseHTTPRequestHandler] | functools.partial, secure: bool = True
) -> Iterator[str]:
    """A real web server on this machine, over TLS with a certificate that the test trusts; gives its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, pytest.MonkeyPatch.context() as patch:
        if secure:
            patch.setenv("SSL_CERT_FILE", str(_certificate() / "certificate.pem"))
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(_certificate() / "certificate.pem", _certificate() / "key.pem")
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http{'s' * secure}://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
