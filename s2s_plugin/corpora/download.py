"""Download files from public URLs, cached, resuming where a connection was cut."""

from __future__ import annotations

import hashlib
import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from s2s_plugin.corpora.archive import unpack
from s2s_plugin.errors import UserError
from s2s_plugin.utils.console import say
from s2s_plugin.utils.io import build_folder, file_sha256, locked
from s2s_plugin.utils.progress import Progress

# pooch has caching and checksums too, but starts a cut download again from its first byte.
MANUAL_HINT = "check the network and run again, or download it yourself and pass its folder with --from FOLDER"
ATTEMPTS = 3  # connections per call
TIMEOUT = 60.0  # seconds without a byte


def url_file(url: str, cache: Path, sha256: str | None = None) -> Path:
    """Return the file at ``url``, downloaded once and checked against its length and ``sha256`` (hex).

    Raises:
        UserError: it cannot be had, or has another checksum.
    """
    name = Path(urllib.parse.unquote(urllib.parse.urlsplit(url).path)).name or "index"
    path = Path(cache) / "url" / hashlib.sha256(url.encode()).hexdigest()[:8] / name
    part = path.with_name(name + ".part")
    with locked(path.with_name(name + ".lock")):
        if path.exists() and (sha256 is None or file_sha256(path) == sha256):
            return path
        for _ in range(2):  # a corrupt .part gives a wrong checksum: start again once
            download_file(url, part)
            if sha256 is None or file_sha256(part) == sha256:
                return part.replace(path)
            part.unlink()
    raise UserError(f"{url}: sha256 must be {sha256}, got another; {MANUAL_HINT}")


def url_archive(url: str, cache: Path, sha256: str | None = None) -> Path:
    """Return the folder with the content of the archive at ``url``; see :func:`url_file`."""
    archive = url_file(url, cache, sha256)
    return build_folder(archive.with_name(archive.name + ".unpacked"), lambda folder: unpack(archive, folder))


def download_file(url: str, part: Path) -> None:
    """Complete ``part`` to the full length of ``url``, in up to ``ATTEMPTS`` connections.

    Raises:
        UserError: it cannot be had as a whole; the next call resumes from ``part``.
    """
    for attempt in range(ATTEMPTS):
        time.sleep(attempt)
        try:
            missing = _transfer(url, part)
            if missing == 0:
                return
            problem = f"the connection was cut {missing:,} bytes before the end"
        except urllib.error.HTTPError as error:
            problem = f"HTTP {error.code} {error.reason}"
            if error.code == 416:  # .part is longer than the file
                part.unlink(missing_ok=True)
            elif error.code < 500:
                break
        except (OSError, http.client.HTTPException) as error:
            problem = str(getattr(error, "reason", "") or error) or type(error).__name__
    raise UserError(f"cannot download {url}: {problem}; {MANUAL_HINT}")


def _transfer(url: str, part: Path) -> int:
    """Append to ``part`` (or start it again) over one connection and return the number of bytes still missing."""
    have = part.stat().st_size if part.exists() else 0
    tag = part.with_name(part.name + ".tag")  # names the version that .part belongs to
    headers = {"User-Agent": "s2s_plugin"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if tag.exists():
            headers["If-Range"] = tag.read_text(encoding="utf-8")
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as answer:
        if answer.status != 206 or not str(answer.headers.get("Content-Range")).startswith(f"bytes {have}-"):
            have = 0
        version = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
        if version and not version.startswith("W/"):
            tag.write_text(version, encoding="utf-8")
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        say(f"fetching {url}" + (f" ({total / 1e6:.1f} MB)" if total else ""))
        bar = Progress(total=total, initial=have, unit="B", unit_scale=True, desc=part.stem)
        with bar, part.open("ab" if have else "wb") as file:
            while block := answer.read(1 << 16):
                file.write(block)
                bar.update(len(block))
                have += len(block)
    if total is not None and have < total:
        return total - have
    tag.unlink(missing_ok=True)
    return 0
