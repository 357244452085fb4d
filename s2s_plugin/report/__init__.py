"""The report of a run: one self-contained HTML page, and its pictures as PNG files.

``write_report(run_dir)`` reads what the stages left in the run folder and writes ``RUN/report.html`` and
``RUN/report/*.png``. A file that is not there yet leaves a note in its section; nothing else depends on it.
"""

from __future__ import annotations

from pathlib import Path

from s2s_plugin.report.attention import attention_section
from s2s_plugin.report.curves import curves_section
from s2s_plugin.report.examples import examples_section
from s2s_plugin.report.lengths import length_section
from s2s_plugin.report.markup import Section
from s2s_plugin.report.page import (
    commands_section,
    config_section,
    render_page,
    scores_section,
)
from s2s_plugin.report.plot import require_matplotlib
from s2s_plugin.report.run import Run, read_run
from s2s_plugin.utils.io import write_bytes

__all__ = ["write_report"]


def write_report(run_dir: Path) -> Path:
    """Write the report of the run in ``run_dir`` and return the path of the page.

    Raises:
        UserError: no such folder, a file of the run that cannot be read, or matplotlib is not installed.
    """
    require_matplotlib()
    run = read_run(Path(run_dir))
    sections = [
        scores_section(run),
        curves_section(run),
        length_section(run),
        examples_section(run),
        attention_section(run),
        commands_section(run),
        config_section(run),
    ]
    _write_pictures(run, sections)
    page = run.folder / "report.html"
    write_bytes(page, render_page(run, sections).encode("utf-8", "replace"))
    return page


def _write_pictures(run: Run, sections: list[Section]) -> None:
    """Write every section's PNG files and remove those that an earlier report left and this one has not."""
    folder = run.folder / "report"
    folder.mkdir(exist_ok=True)
    pictures = {name: png for section in sections for name, png in section.pictures.items()}
    for name, png in pictures.items():
        write_bytes(folder / name, png)
    for pattern in ("curves.png", "*_by_length.png", "attention-*.png"):
        for old in folder.glob(pattern):
            if old.name not in pictures:
                old.unlink()
