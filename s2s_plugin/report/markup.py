"""Small pieces of HTML that every section of the report uses."""

from __future__ import annotations

import base64
import html
import re
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Section:
    """One section of the page: its anchor, heading, body (HTML) and PNG files by name."""

    anchor: str
    title: str
    body: str
    pictures: dict[str, bytes] = field(default_factory=dict)


def esc(value: object) -> str:
    """``value`` as text that is safe in HTML content and in quoted attributes."""
    return html.escape(str(value), quote=True)


def missing(file: str, stage: str, shows: str) -> str:
    """A note that an input is not there or empty, which stage writes it and what it would show."""
    return (
        f'<p class="missing"><strong>Nothing in <code>{esc(file)}</code> yet.</strong> '
        f"The <em>{esc(stage)}</em> stage writes it; {esc(shows)} will then be here.</p>"
    )


def note(text: str) -> str:
    """A quiet remark below a figure or a table."""
    return f'<p class="note">{esc(text)}</p>'


def breakable(text: object) -> str:
    """``text``, escaped, with places to break a line in signatures and paths."""
    return re.sub(r"([|/])", r"\1<wbr>", esc(text))


def signature_lines(signatures: dict[str, str]) -> str:
    """How metrics were computed: a quiet line for each."""
    lines = (f"<li>{esc(name)} <code>{breakable(text)}</code></li>" for name, text in signatures.items())
    return f'<ul class="signature">{"".join(lines)}</ul>'


def data_uri(content: bytes, kind: str) -> str:
    """``content``, a file of the media type ``kind``, as an address that needs no file."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def picture_link(name: str, png: bytes) -> str:
    """A link that saves the picture ``name``; the picture travels inside the page."""
    return f'<a class="save" download="{esc(name)}" href="{data_uri(png, "image/png")}">Save as PNG</a>'


def picture(png: bytes, alt: str) -> str:
    """The picture itself, inside the page."""
    return f'<img src="{data_uri(png, "image/png")}" alt="{esc(alt)}">'


def number(value: float) -> str:
    """A score in per cent, for people: one decimal, a true minus sign."""
    return f"{value:.1f}".replace("-", "−")
