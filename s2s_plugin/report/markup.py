"""Templates, and the pieces of HTML that the sections share."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape


@dataclass(frozen=True)
class Section:
    """A section of the page: anchor, heading, body and PNG files by name."""

    anchor: str
    title: str
    body: Markup
    pictures: dict[str, bytes] = field(default_factory=dict)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "breakable": breakable, "png": png_uri, "zip": zip}
    return environment


def render(template: str, **values: object) -> Markup:
    """Render a template of this package; values are escaped unless they are markup."""
    return Markup(_environment().get_template(template).render(values))


def missing(file: str, stage: str, shows: str) -> Markup:
    """Say that an input is missing or empty, which stage writes it and what it would show."""
    return Markup(
        '<p class="missing"><strong>Nothing in <code>{}</code> yet.</strong> '
        "The <em>{}</em> stage writes it; {} will then be here.</p>"
    ).format(file, stage, shows)


def note(text: str) -> Markup:
    """Return a quiet remark below a figure or a table."""
    return Markup('<p class="note">{}</p>').format(text)


def breakable(text: object) -> Markup:
    """Escape ``text`` and allow line breaks in signatures and paths."""
    return Markup(re.sub(r"([|/])", r"\1<wbr>", str(escape(text))))


def data_uri(content: bytes, media_type: str) -> str:
    """Return an address that contains the file itself."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def png_uri(content: bytes) -> str:
    """Return an address that contains a PNG file."""
    return data_uri(content, "image/png")


def number(value: object, digits: int = 1) -> str:
    """Format a score with a true minus sign; a dash if there is none."""
    return f"{value:.{digits}f}".replace("-", "−") if isinstance(value, (int, float)) else "–"
