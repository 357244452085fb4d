"""The report of a run: one self-contained HTML page, and its pictures as PNG files."""

from __future__ import annotations

from pathlib import Path

from s2s_plugin.report.drawing.style import require_matplotlib
from s2s_plugin.report.page import render_page
from s2s_plugin.report.run import read_run
from s2s_plugin.report.sections import SECTIONS
from s2s_plugin.utils.io import write_bytes

__all__ = ["write_report"]

PICTURES = ("curves.png", "*_by_length.png", "attention-*.png")


def write_report(run_dir: Path) -> Path:
    """Write ``report.html`` and ``report/*.png`` in a run folder and return the path of the page.

    A file that a stage has not written yet leaves a note in its section.

    Raises:
        UserError: no such folder, a file of the run is unreadable, or matplotlib is not installed.
    """
    require_matplotlib()
    run = read_run(Path(run_dir))
    sections = [section(run) for section in SECTIONS]
    page, folder = render_page(run, sections), run.dir.folder / "report"
    folder.mkdir(exist_ok=True)
    pictures = {name: png for section in sections for name, png in section.pictures.items()}
    for pattern in PICTURES:
        for stale in folder.glob(pattern):
            if stale.name not in pictures:
                stale.unlink()
    for name, png in pictures.items():
        write_bytes(folder / name, png)
    write_bytes(run.dir.report, page.encode("utf-8", "replace"))
    return run.dir.report
