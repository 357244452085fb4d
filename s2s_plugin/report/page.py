"""The page of a report: each section is a template that the values of one function fill."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, TemplateError
from markupsafe import Markup, escape

from s2s_plugin.errors import UserError
from s2s_plugin.report.run import RunData, read_run
from s2s_plugin.report.sections.curves import curves_section
from s2s_plugin.report.sections.examples import examples_section
from s2s_plugin.report.sections.lengths import length_section
from s2s_plugin.report.sections.media import data_uri
from s2s_plugin.utils.io import write_bytes, write_text
from s2s_plugin.utils.untrusted import show


class Section(NamedTuple):
    """A section of the page, and what to say if its input is missing."""

    anchor: str  # of links; its template is sections/<anchor>.html.j2
    title: str  # heading, unless the values have another ``title``
    values: Callable[[RunData], Any]  # for the template, and ``pictures``; nothing if the input is missing
    file: str  # the input
    stage: str  # writes the input
    optional: bool = False  # left out if the input is missing


SECTIONS = (
    Section("scores", "Scores", lambda run: run.scores.get("metrics"), "scores.json", "score"),
    Section("curves", "Learning curves", curves_section, "log.txt", "train"),
    Section("length", "Scores by source length", length_section, "outputs.jsonl", "generate"),
    Section("diagnosis", "Diagnosis", lambda run: run.diagnosis, "diagnosis.json", "diagnose", True),
    Section("examples", "Examples", examples_section, "outputs.jsonl", "generate"),
    Section("commands", "Commands", lambda run: run.commands, "commands.txt", "prepare"),
    Section("config", "Configuration", lambda run: run.options, "config.yaml", "train"),
)


def write_report(run_dir: Path, changed_options: Callable[[dict], dict] = dict) -> Path:
    """Write ``report.html`` and ``report/*.png`` in a run folder and return the path of the page.

    The page refers to nothing outside itself. A file that a stage has not written yet leaves a note in its section.

    Args:
        run_dir: the folder.
        changed_options: selects the options of a config that differ from the defaults.

    Raises:
        UserError: no such folder, or one of its files is not what the stages write.
    """
    try:
        return _write(read_run(run_dir), changed_options)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, TemplateError) as error:
        reason = f"{type(error).__name__}: {error}"
        rule = "a file in it is not what the stages of this version write"
        raise UserError(f"{run_dir}: {rule} ({show(reason, 120)}); run them again") from error


def _write(run: RunData, changed_options: Callable[[dict], dict]) -> Path:
    filled = [(section, section.values(run) or {}) for section in SECTIONS]
    sections = [(section, values) for section, values in filled if values or not section.optional]
    environment = make_environment()
    environment.filters |= {"changed": changed_options, "yaml": partial(yaml.safe_dump, sort_keys=False)}
    page = environment.get_template("page.html.j2").render(run=run, sections=sections)
    pictures = {name: png for _, values in sections for name, png in values.get("pictures", {}).items()}
    folder = run.dir.folder / "report"
    for stale in {*folder.glob("*.png")} - {folder / name for name in pictures}:
        stale.unlink()
    for name, png in pictures.items():
        write_bytes(folder / name, png)
    write_text(run.dir.report, page)
    return run.dir.report


def make_environment(*packages: str) -> Environment:
    """Return the templates of the report, with its filters and its style, and those of other packages."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, ".") for package in (*packages, __package__)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "duration": duration, "breakable": breakable, "zip": zip}
    environment.filters["png"] = partial(data_uri, "image/png")
    environment.globals["style"] = files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    return environment


def breakable(text: object) -> Markup:
    """Escape ``text`` and allow line breaks in signatures and paths."""
    return Markup(re.sub(r"([|/])", r"\1<wbr>", str(escape(text))))  # noqa: S704


def number(value: float | None, digits: int = 1) -> str:
    """Format a score with a true minus sign; a dash if there is none."""
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def duration(seconds: float) -> str:
    """Format a time: ``10 min 1 s``, ``3 h 20 min``."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minute} min"
    return f"{minute} min {second} s" if minute else f"{second} s"
