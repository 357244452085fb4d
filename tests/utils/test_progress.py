"""Progress where standard error is no terminal."""

from __future__ import annotations

import time

from s2s_plugin.utils.progress import Progress


def test_plain_lines_now_and_then(capsys):
    for _ in Progress(range(100), "      reading", unit="file", line_interval=0.1):
        time.sleep(0.005)
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) < 50
    assert all(line.startswith("      reading: ") and "/100 [" in line for line in lines)


def test_short_work_is_silent(capsys):
    assert list(Progress(range(1000), "reading")) == list(range(1000))
    assert capsys.readouterr().err == ""
