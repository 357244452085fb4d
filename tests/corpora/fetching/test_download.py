"""Download from a real web server on this machine, also one that means harm."""

from __future__ import annotations

import gzip
import hashlib
import zipfile
from pathlib import Path

import pytest
from recipes import ANY_CONTENT
from web_server import CONTENT, EXPECTED, PAGE, Chunked, Handler, nothing_left, serving

from s2s_plugin.corpora.fetching.download import Expected, content_sha256, url_archive, url_file
from s2s_plugin.errors import UserError

pytestmark = pytest.mark.usefixtures("no_waiting")


def test_download_is_whole_and_happens_once(server, tmp_path):
    path = url_file(f"{server}/data.bin", tmp_path, EXPECTED)
    assert path.name == "data.bin"
    assert path.read_bytes() == CONTENT
    assert url_file(f"{server}/data.bin", tmp_path, EXPECTED) == path
    assert Handler.ranges == [None]


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
    assert Handler.ranges == [None]  # the plain server had no request
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


@pytest.mark.parametrize("declared", [True, False])
def test_size_is_limited_while_it_comes(tmp_path, declared):
    with (
        serving(Handler if declared else Chunked) as address,
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
