"""Download from a real web server on this machine, also one that means harm."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import inspect
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from recipes import ANY_CONTENT, serving

from s2s_plugin.corpora.fetching.download import Expected, content_sha256, url_archive, url_file
from s2s_plugin.corpora.recipe import load_recipe
from s2s_plugin.errors import UserError
from s2s_plugin.utils.paths import RECIPES

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


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    for key, value in {"cuts": [], "ranges": [], "etag": '"one"', "headers_of_all": {}, "body": CONTENT}.items():
        monkeypatch.setattr(Handler, key, value)


@pytest.fixture
def server():
    with serving(Handler) as address:
        yield address


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


def test_download_is_whole_and_happens_once(server, tmp_path):
    path = url_file(f"{server}/data.bin", tmp_path, EXPECTED)
    assert path.name == "data.bin"
    assert path.read_bytes() == CONTENT
    assert url_file(f"{server}/data.bin", tmp_path, EXPECTED) == path
    assert Handler.ranges == [None]


# --- https only -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "ftp", "file", "data"])
def test_only_https_is_used(tmp_path, scheme):
    with (
        serving(Handler, secure=False) as address,
        pytest.raises(UserError, match=f"only https is used, got {scheme}:"),
    ):
        url_file(f"{scheme}:{address.removeprefix('http:')}/data.bin", tmp_path, EXPECTED)
    assert Handler.ranges == []


def test_no_redirect_to_http(server, tmp_path):
    with serving(Handler, secure=False) as plain:
        Handler.to = f"{plain}/data.bin"
        with pytest.raises(UserError, match=r"/moved: only https is used, got redirected to http://127"):
            url_file(f"{server}/moved", tmp_path, EXPECTED)
    assert Handler.ranges == [None]  # the plain server was not asked
    Handler.to = f"file://{Path(__file__).resolve()}"
    with pytest.raises(UserError, match=r"/moved: HTTP 302 .*file:.* is not allowed"):
        url_file(f"{server}/moved", tmp_path, EXPECTED)
    Handler.to = f"{server}/moved"
    with pytest.raises(UserError, match=r"/moved: HTTP 302 .*infinite loop"):
        url_file(f"{server}/moved", tmp_path, EXPECTED)
    Handler.to = f"{server}/data.bin"
    assert url_file(f"{server}/moved", tmp_path, EXPECTED).read_bytes() == CONTENT


def test_unknown_certificate_is_an_error(server, tmp_path, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(UserError, match=r"data\.bin: .*certificate verify failed"):
        url_file(f"{server}/data.bin", tmp_path, EXPECTED)


# --- cut and resumed --------------------------------------------------------------------------------------


def test_cut_connection_is_continued(server, tmp_path):
    Handler.cuts = [100_000, 50_000]
    path = url_file(f"{server}/data.bin", tmp_path, ANY_CONTENT)
    assert path.read_bytes() == CONTENT
    assert Handler.ranges == [None, "bytes=100000-", "bytes=150000-"]


def test_next_call_continues_what_an_earlier_one_left(server, tmp_path):
    Handler.cuts = [100_000, 20_000, 30_000]
    with pytest.raises(UserError, match=r"data\.bin: the connection was cut 150,000 bytes before the end"):
        url_file(f"{server}/data.bin", tmp_path, ANY_CONTENT)
    assert url_file(f"{server}/data.bin", tmp_path, ANY_CONTENT).read_bytes() == CONTENT
    assert Handler.ranges[-1] == "bytes=150000-"
    assert not list(tmp_path.rglob("*.part*"))


def test_corrupt_part_is_fetched_anew_once(server, tmp_path):
    url = f"{server}/data.bin"
    write_part(url, tmp_path, b"x" * 1000)
    assert url_file(url, tmp_path, EXPECTED).read_bytes() == CONTENT
    assert Handler.ranges == ["bytes=1000-", None]


def test_part_of_another_version_is_not_continued(server, tmp_path):
    url = f"{server}/data.bin"
    write_part(url, tmp_path, b"old" * 100, '"zero"')
    assert url_file(url, tmp_path, ANY_CONTENT).read_bytes() == CONTENT
    assert Handler.ranges == ["bytes=300-"]  # asked under If-Range, answered with the whole


@pytest.mark.parametrize(
    "headers",
    [
        {"ETag": 'W/"one"'},
        {"ETag": None},
        {"ETag": None, "Last-Modified": "Sat, 01 Jan 2050 00:00:00 GMT"},
        {"ETag": None, "Last-Modified": "yesterday"},
    ],
)
def test_without_a_strong_version_nothing_is_continued(server, tmp_path, headers):
    Handler.cuts, Handler.headers_of_all = [100_000], headers
    assert url_file(f"{server}/data.bin", tmp_path, ANY_CONTENT).read_bytes() == CONTENT
    assert Handler.ranges == [None, None]


def test_date_of_change_serves_as_version(server, tmp_path):
    Handler.etag = "Sat, 01 Jan 2000 00:00:00 GMT"
    Handler.headers_of_all = {"ETag": None, "Last-Modified": Handler.etag}
    Handler.cuts = [100_000]
    assert url_file(f"{server}/data.bin", tmp_path, ANY_CONTENT).read_bytes() == CONTENT
    assert Handler.ranges == [None, "bytes=100000-"]


def test_part_without_a_version_is_not_continued(server, tmp_path):
    url = f"{server}/data.bin"
    part_of(url, tmp_path).write_bytes(CONTENT[:1000])
    assert url_file(url, tmp_path, ANY_CONTENT).read_bytes() == CONTENT
    assert Handler.ranges == [None]


def test_answer_from_another_place_is_refused(server, tmp_path):
    url = f"{server}/data.bin"
    write_part(url, tmp_path, CONTENT[:1000])
    Handler.headers_of_all = {"Content-Range": "bytes 5000-299999/300000"}
    with pytest.raises(UserError, match=r"expected the file from byte 1,000, got status 206 and range bytes 5000"):
        url_file(url, tmp_path, ANY_CONTENT)
    assert nothing_left(tmp_path)


def test_part_longer_than_the_file_is_dropped(server, tmp_path):
    url = f"{server}/data.bin"
    write_part(url, tmp_path, CONTENT + b"more")
    assert url_file(url, tmp_path, ANY_CONTENT).read_bytes() == CONTENT


def test_chunks_tell_a_cut_and_no_length_at_all_is_refused(tmp_path, server):
    with serving(Chunked) as chunked:
        assert url_file(f"{chunked}/data.bin", tmp_path, ANY_CONTENT).read_bytes() == CONTENT
        with pytest.raises(UserError, match=r"cut\.bin: IncompleteRead"):
            url_file(f"{chunked}/cut.bin", tmp_path, ANY_CONTENT)
    Handler.headers_of_all = {"Content-Length": None}
    with pytest.raises(UserError, match=r"does not tell the length"):
        url_file(f"{server}/data.bin", tmp_path, ANY_CONTENT)


# --- another file than expected ---------------------------------------------------------------------------


def test_wrong_checksum_is_an_error_and_leaves_nothing(server, tmp_path):
    with pytest.raises(UserError, match=r"data\.bin: sha256 must be 0000.*, got "):
        url_file(f"{server}/data.bin", tmp_path, Expected(len(CONTENT), "0" * 64))
    assert len(Handler.ranges) == 2
    assert nothing_left(tmp_path)
    with pytest.raises(UserError, match=r"data\.bin: md5 must be 0000.*, got "):
        url_file(f"{server}/data.bin", tmp_path, Expected(len(CONTENT), md5="0" * 32))
    md5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    assert url_file(f"{server}/data.bin", tmp_path, Expected(len(CONTENT), md5=md5))


def test_corrupt_file_in_the_cache_is_fetched_again(server, tmp_path):
    path = url_file(f"{server}/data.bin", tmp_path, EXPECTED)
    path.write_bytes(b"corrupt")
    assert url_file(f"{server}/data.bin", tmp_path, EXPECTED).read_bytes() == CONTENT


@pytest.mark.parametrize("told", [True, False])
def test_size_is_limited_while_it_comes(tmp_path, told):
    with (
        serving(Handler if told else Chunked) as address,
        pytest.raises(UserError, match=r"data\.bin: it must have at most 100,000 bytes, got"),
    ):
        url_file(f"{address}/data.bin", tmp_path, Expected((1, 100_000)))
    assert nothing_left(tmp_path)


def test_a_file_that_is_too_small_is_refused(server, tmp_path):
    with pytest.raises(UserError, match=r"its size must be 400,000 to 500,000 bytes, got 300,000"):
        url_file(f"{server}/data.bin", tmp_path, Expected((400_000, 500_000)))
    assert nothing_left(tmp_path)


@pytest.mark.parametrize("page", [PAGE, b"<html><body>portal", b"<!-- x -->\n<HEAD>", b"<script>location='/login'"])
def test_login_page_is_noticed(server, tmp_path, page):
    Handler.body = page
    with pytest.raises(UserError, match=r"data\.zip: it is a web page, not the file: log in"):
        url_file(f"{server}/data.zip", tmp_path, ANY_CONTENT)
    assert nothing_left(tmp_path)


@pytest.mark.parametrize("name", ["data.txt.gz", "data.zip"])
def test_broken_file_without_a_checksum_is_noticed(server, tmp_path, name):
    Handler.body = gzip.compress(CONTENT)[:-10]
    if name == "data.zip":
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
            packed.writestr("a", CONTENT)
        Handler.body = (tmp_path / "a.zip").read_bytes()[:-10]
        (tmp_path / "a.zip").unlink()
    with pytest.raises(UserError, match=rf"{name}: {name}\.part is broken: "):
        url_file(f"{server}/{name}", tmp_path, ANY_CONTENT)
    assert nothing_left(tmp_path)


def test_archive_packed_anew_is_known_by_its_content(server, tmp_path):
    def packed(text: str, method: int) -> bytes:
        with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
            archive.writestr("corpus-1.0/b/a.txt", text)
            archive.writestr("corpus-1.0/a.txt", "first")
        return (tmp_path / "a.zip").read_bytes()

    lines = "".join(
        f"{hashlib.sha256(text).hexdigest()}  {name}\n"
        for name, text in {"a.txt": b"first", "b/a.txt": b"second"}.items()
    )
    expected = Expected((1, 10_000), content=hashlib.sha256(lines.encode()).hexdigest())
    for number, method in enumerate((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)):
        Handler.body = packed("second", method)
        folder = url_archive(f"{server}/corpus.zip", tmp_path / f"cache{number}", expected)
        assert content_sha256(folder) == expected.content
    Handler.body = packed("another", zipfile.ZIP_STORED)
    with pytest.raises(UserError, match=r"corpus\.zip: sha256 of its content must be "):
        url_archive(f"{server}/corpus.zip", tmp_path / "cache2", expected)
    assert nothing_left(tmp_path / "cache2")


def test_not_found_names_url_and_remedy(server, tmp_path):
    with pytest.raises(UserError, match=r"/missing: HTTP 404 .*--from FOLDER"):
        url_file(f"{server}/missing", tmp_path, ANY_CONTENT)
    assert len(Handler.ranges) == 1  # asking again would not help


def test_no_server_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"cannot download https://127\.0\.0\.1:9/x: .*refused"):
        url_file("https://127.0.0.1:9/x", tmp_path, ANY_CONTENT)


# --- the recipes ------------------------------------------------------------------------------------------


def guarantees(value: Any) -> list[Expected]:
    """Everything of this kind in a constant of a recipe."""
    if isinstance(value, Expected):
        return [value]
    return [found for item in value.values() for found in guarantees(item)] if isinstance(value, dict) else []


FIXED = {"aiml_chat", "cli_examples", "cmudict", "emoji", "multi30k", "nl2bash", "songys_chatbot"}
PACKED_ON_DEMAND, MD5 = {"aeslc", "fsdd"}, {"flickr8k"}
NOT_FETCHED = {"miracl", "synthetic_lips", "sigmorphon2020"}  # the last has its own table and test


@pytest.mark.parametrize("name", sorted(path.parent.name for path in RECIPES.glob("*/prepare.py")))
def test_every_recipe_says_what_its_files_must_be(name):
    module = load_recipe(name)
    assert "http://" not in inspect.getsource(module)
    found = [expected for value in vars(module).values() for expected in guarantees(value)]
    assert bool(found) != (name in NOT_FETCHED)
    for expected in found:
        assert expected.most <= 1_300_000_000
        assert not expected.sha256 or len(expected.sha256) == 64
        if name in FIXED:
            assert isinstance(expected.size, int) and expected.sha256
        assert bool(expected.content) == (name in PACKED_ON_DEMAND)
        assert bool(expected.md5) == (name in MD5)
        if isinstance(expected.size, tuple):
            assert 0 < expected.size[0] < expected.size[1]
