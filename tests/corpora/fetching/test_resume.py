"""Downloads that were cut, and what is done with the part that came."""

from __future__ import annotations

import pytest
from recipes import ANY_CONTENT
from web_server import CONTENT, EXPECTED, Chunked, Handler, nothing_left, part_of, serving, write_part

from s2s_plugin.corpora.fetching.download import url_file
from s2s_plugin.errors import UserError

pytestmark = pytest.mark.usefixtures("no_waiting")


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
        {"ETag": None, "Last-Modified": "Sat, 01 Jan 2000 00:00:00 GMT"},
    ],
)
def test_without_a_strong_version_nothing_is_continued(server, tmp_path, headers):
    Handler.cuts, Handler.headers_of_all = [100_000], headers
    assert url_file(f"{server}/data.bin", tmp_path, ANY_CONTENT).read_bytes() == CONTENT
    assert Handler.ranges == [None, None]


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
