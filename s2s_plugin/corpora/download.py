"""A file from a public URL, continued where the connection was cut."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from pathlib import Path

from s2s_plugin.errors import UserError
from s2s_plugin.utils.console import say
from s2s_plugin.utils.progress import Progress

BY_HAND = "check the network and run again, or fetch it by hand and name its folder with --from FOLDER"
ATTEMPTS = 3  # connections; a cut one continues where it stopped
TIMEOUT = 60.0  # seconds without a byte


def download_file(url: str, part: Path) -> None:
    """Bring ``part`` to the full length of ``url``, in up to ``ATTEMPTS`` connections.

    Raises:
        UserError: it cannot be had as a whole; what has come stays in ``part``.
    """
    problem = ""
    for attempt in range(ATTEMPTS):
        time.sleep(attempt)
        try:
            missing = _transfer(url, part)
            if missing == 0:
                return
            problem = f"the connection was cut {missing:,} bytes before the end"
        except urllib.error.HTTPError as error:
            problem = f"HTTP {error.code} {error.reason}"
            if error.code == 416:  # .part is longer than the file: it is not a part of it
                part.unlink(missing_ok=True)
            elif error.code < 500:
                break
        except (OSError, http.client.HTTPException) as error:
            problem = str(getattr(error, "reason", "") or error) or type(error).__name__
    raise UserError(f"cannot download {url}: {problem}; {BY_HAND}")


def _transfer(url: str, part: Path) -> int:
    """One connection: append to ``part`` (or write it anew) and return how many bytes are still missing."""
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
