"""Download files from public URLs, cached, resuming where a connection was cut, and checked against what they must be.

Only https is used, and no redirect to anything else.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

from s2s_plugin.corpora.fetching.archive import size_limit, unpack
from s2s_plugin.errors import UserError
from s2s_plugin.utils.compression import open_binary
from s2s_plugin.utils.console import say
from s2s_plugin.utils.io import build_folder, file_sha256, locked
from s2s_plugin.utils.progress import Progress

# pooch has caching and checksums too, but starts a cut download again from its first byte.
MANUAL_HINT = "check the network and run again, or download it yourself and pass its folder with --from FOLDER"
ATTEMPTS = 3  # connections per call
TIMEOUT = 60.0  # seconds without a byte
BLOCK = 1 << 16  # bytes read at once
WEB_PAGE = re.compile(rb"\s*(<!--.*?-->\s*)*<(!doctype html|html|head|body|script)\b", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Expected:
    """What a downloaded file must be; a recipe says it of each.

    Attributes:
        size: bytes, or minimum and maximum of a file that changes.
        sha256: of the file, in hex; empty if it changes.
        md5: of the file, where its publishers give no other checksum.
        content: for an archive that is packed on demand, :func:`content_sha256` of the folder in it.
    """

    size: int | tuple[int, int]
    sha256: str = ""
    md5: str = ""
    content: str = ""

    @property
    def max_size(self) -> int:
        """The largest size in bytes."""
        return self.size if isinstance(self.size, int) else self.size[1]

    def problem(self, path: Path) -> str:
        """Return what is wrong with a file, as a rule and a value; empty if nothing is."""
        min_size = self.size if isinstance(self.size, int) else self.size[0]
        if not min_size <= path.stat().st_size <= self.max_size:
            rule = f"{min_size:,}" if min_size == self.max_size else f"{min_size:,} to {self.max_size:,}"
            return f"its size must be {rule} bytes, got {path.stat().st_size:,}"
        if self.sha256 and (actual := file_sha256(path)) != self.sha256:
            return f"sha256 must be {self.sha256}, got {actual}"
        if self.md5 and (actual := _md5(path)) != self.md5:
            return f"md5 must be {self.md5}, got {actual}"
        return ""


class _Final(Exception):
    """A problem that another connection would not solve."""


def url_file(url: str, cache: Path, expected: Expected) -> Path:
    """Return the file at ``url``, downloaded once and checked to be as expected.

    Raises:
        UserError: it cannot be had, or is another.
    """
    name = Path(urllib.parse.unquote(urllib.parse.urlsplit(url).path)).name or "index"
    path = Path(cache) / "url" / hashlib.sha256(url.encode()).hexdigest()[:8] / name
    part = path.with_name(name + ".part")
    problem = ""
    with locked(path.with_name(name + ".lock")):
        if path.exists() and not expected.problem(path):
            return path
        for _ in range(2):  # a .part that was corrupted here is wrong: start again once
            download_file(url, part, expected.max_size)
            problem = expected.problem(part) or _broken(part)
            if not problem:
                return part.replace(path)
            part.unlink()
    raise UserError(f"{url}: {problem}; {MANUAL_HINT}")


def url_archive(url: str, cache: Path, expected: Expected) -> Path:
    """Return the folder with the content of the archive at ``url``; see :func:`url_file`."""
    archive = url_file(url, cache, expected)

    def build(folder: Path) -> None:
        unpack(archive, folder)
        if expected.content and (actual := content_sha256(folder)) != expected.content:
            archive.unlink()
            raise UserError(f"{url}: sha256 of its content must be {expected.content}, got {actual}; {MANUAL_HINT}")

    return build_folder(archive.with_name(archive.name + ".unpacked"), build)


def content_sha256(folder: Path) -> str:
    """Return the sha256 of what ``sha256sum`` prints about all files in the one folder in ``folder``, by path."""
    (top,) = folder.iterdir()
    files = {path.relative_to(top).as_posix(): path for path in top.rglob("*") if path.is_file()}
    lines = (f"{file_sha256(files[name])}  {name}\n" for name in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def download_file(url: str, part: Path, max_size: int) -> None:
    """Complete ``part`` to the full length of ``url``, at most ``max_size`` bytes, in up to ``ATTEMPTS`` connections.

    Raises:
        UserError: it cannot be had as a whole; the next call resumes from ``part``.
    """
    problem = ""
    for attempt in range(ATTEMPTS):
        time.sleep(attempt)
        try:
            missing = _transfer(url, part, max_size)
            if missing == 0:
                return
            problem = f"the connection was cut {missing:,} bytes before the end"
        except urllib.error.HTTPError as error:
            problem = f"HTTP {error.code} {error.reason}"
            if error.code == 416:  # .part is longer than the file
                part.unlink(missing_ok=True)
            elif error.code < 500:
                break
        except _Final as error:
            problem = str(error)
            part.unlink(missing_ok=True)
            break
        except (OSError, http.client.HTTPException) as error:
            problem = str(getattr(error, "reason", "") or error) or type(error).__name__
    raise UserError(f"cannot download {url}: {problem}; {MANUAL_HINT}")


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):
        _check_scheme(newurl, "redirected to ")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_scheme(url: str, verb: str = "") -> None:
    if urllib.parse.urlsplit(url).scheme != "https":
        raise _Final(f"only https is used, got {verb}{url}")


def _transfer(url: str, part: Path, max_size: int) -> int:
    """Append to ``part`` (or start it again) over one connection and return the number of bytes still missing."""
    _check_scheme(url)
    tag = part.with_name(part.name + ".tag")  # names the version that .part belongs to
    have = part.stat().st_size if part.exists() and tag.exists() else 0
    headers = {"User-Agent": "s2s_plugin", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": tag.read_text(encoding="utf-8")}
    opener = urllib.request.build_opener(_HttpsOnly)
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 (https alone)
    with opener.open(request, timeout=TIMEOUT) as answer:
        have = _start(answer, have)
        version = answer.headers.get("ETag", "W/")
        tag.unlink(missing_ok=True)
        if not version.startswith("W/"):  # weak: would not tell the same bytes (RFC 9110, section 13.1.5)
            tag.write_text(version, encoding="utf-8")
        total = _total(answer, have, max_size)
        say(f"fetching {url}" + (f" ({total / 1e6:.1f} MB)" if total else ""))
        bar = Progress(total=total, initial=have, unit="B", unit_scale=True, desc=part.stem)
        with bar, part.open("ab" if have else "wb") as file:
            while block := answer.read(BLOCK):
                if not have and WEB_PAGE.match(block):
                    raise _Final("it is a web page, not the file: log in or accept its terms in a browser")
                have += len(block)
                if have > max_size:
                    raise _Final(f"it must have at most {max_size:,} bytes, got more")
                file.write(block)
                bar.update(len(block))
    if total is not None and have < total:
        return total - have
    tag.unlink(missing_ok=True)
    return 0


def _start(answer: http.client.HTTPResponse, start: int) -> int:
    """Return at which byte the body of an answer starts: ``start``, or 0 for the whole file."""
    if answer.status == 200:
        return 0
    received = str(answer.headers.get("Content-Range"))
    if answer.status != 206 or not start or not received.startswith(f"bytes {start}-"):
        raise _Final(f"expected the file from byte {start:,}, got status {answer.status} and range {received}")
    return start


def _total(answer: http.client.HTTPResponse, have: int, max_size: int) -> int | None:
    """Return the length of the whole file; None if the answer has marks at its end instead."""
    length = answer.headers.get("Content-Length")
    if length is None:
        if not answer.chunked:
            raise _Final("the server does not tell the length, so that a cut would not be noticed")
        return None
    if have + int(length) > max_size:
        raise _Final(f"it must have at most {max_size:,} bytes, got {have + int(length):,}")
    return have + int(length)


def _broken(path: Path) -> str:
    """Return what is wrong with a compressed file or a zip archive; empty if nothing is, or it is another file."""
    try:
        with open_binary(path) as file:
            if file.read(2) == b"PK":
                zipfile.ZipFile(path).close()
            size = sum(len(block) for block in iter(lambda: file.read(BLOCK), b""))
    except Exception as error:  # zipfile raises anything on a hostile directory
        return f"{path.name} is broken: {error}"
    return "" if size <= size_limit(path) else f"unpacked it must have at most {size_limit(path):,} bytes, got {size:,}"


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
