"""The stage ``diagnose``."""

from __future__ import annotations

import re
import textwrap
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from s2s_plugin.diagnosis.ablation import by_source
from s2s_plugin.diagnosis.alignment import by_alignment
from s2s_plugin.diagnosis.beam import by_beam
from s2s_plugin.diagnosis.domain import by_domain
from s2s_plugin.diagnosis.lengths import by_length
from s2s_plugin.diagnosis.rare_words import by_word_frequency
from s2s_plugin.diagnosis.subject import Cell, Measure, Subject
from s2s_plugin.errors import UserError
from s2s_plugin.report.run import read_run
from s2s_plugin.stages.base import Job, Stage
from s2s_plugin.stages.diagnose.learning_curve import learning_curve
from s2s_plugin.stages.diagnose.test_set import decode_test_set
from s2s_plugin.stages.schema import changed_options
from s2s_plugin.utils.console import WIDTH, clock, say
from s2s_plugin.utils.io import write_json

MEASURES: dict[str, Measure] = {
    "length": by_length,
    "words": by_word_frequency,
    "domain": by_domain,
    "alignment": by_alignment,
    "source": by_source,
    "beam": by_beam,
}
DATA = "data"  # trains, which takes three times as long as the run
INDENT = 4 * " "


class DiagnoseStage(Stage):
    """Measure where the model is weak, write ``diagnosis.json``, and the report with it.

    Other findings of an earlier diagnosis stay, if the outputs of the run are still the same. A packaged model is
    diagnosed on the user's test set, and has no report.
    """

    name = "diagnose"

    def run(self, job: Job) -> None:
        from s2s_plugin.report.page import write_report  # imports matplotlib

        cfg, run_dir = job.cfg, job.run_dir
        if unknown := [name for name in cfg.diagnose.measures if name not in (*MEASURES, DATA)]:
            known = ", ".join((*MEASURES, DATA))
            raise UserError(f"diagnose.measures must be among {known}, got {unknown[0]}")
        packaged = not run_dir.training_settings.is_file()
        outputs = decode_test_set(cfg, run_dir) if packaged else read_run(run_dir.folder).outputs
        outputs = [output for output in outputs if output.references]
        if not outputs:
            raise UserError(f"{run_dir.folder}: has no outputs with references; run its generate stage first")
        subject = Subject(cfg, run_dir, job.prepared, outputs)
        findings: list[dict[str, Any]] = []
        for name in cfg.diagnose.measures:
            started = time.monotonic()
            finding = learning_curve(job, subject) if name == DATA else MEASURES[name](subject)
            if finding is not None:
                findings.append(asdict(finding))
            say(f"      {name}: {clock(time.monotonic() - started)}")
        outputs_key = str(run_dir.read_generation_info().get("key"))
        earlier = run_dir.read_diagnosis()
        kept = earlier["findings"] if earlier.get("outputs") == outputs_key else []
        by_title = {finding["title"]: finding for finding in (*kept, *findings)}
        write_json(run_dir.diagnosis, {"outputs": outputs_key, "findings": list(by_title.values())})
        if not packaged:
            write_report(run_dir.folder, changed_options)
        print("\n".join(finding_lines(findings)))


def finding_lines(findings: list[dict[str, Any]]) -> Iterator[str]:
    """Yield each finding as a table of at most 80 columns, and what it means."""
    for finding in findings:
        yield from ("", finding["title"])
        if finding["rows"]:
            yield from _table(finding["rows"])
        yield from textwrap.wrap(finding["verdict"], WIDTH, initial_indent="  = ", subsequent_indent="    ")
        if finding["remedy"]:
            yield from textwrap.wrap(
                f"Helps: {finding['remedy']}", WIDTH, initial_indent=INDENT, subsequent_indent=INDENT
            )
    yield ""


def _table(rows: list[dict[str, Cell]]) -> Iterator[str]:
    """Align the columns to the right; headings take several lines."""
    columns = []
    for name in rows[0]:
        heading = re.split(r"(?<=,) | ", name)
        columns.append([heading, ["–" if row[name] is None else str(row[name]) for row in rows]])
    height = max(len(heading) for heading, _ in columns)
    cells = [[""] * (height - len(heading)) + heading + texts for heading, texts in columns]
    widths = [max(map(len, column)) for column in cells]
    for line in zip(*cells, strict=True):
        yield "  " + "  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)).rstrip()
