"""Write a packaged model as one HTML page in which it runs, without a server."""

from __future__ import annotations

import base64
import re
import zlib
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from s2s_plugin.stages.export.bundle import bundle
from s2s_plugin.stages.export.web_model import web_content
from s2s_plugin.utils.io import write_text
from s2s_plugin.utils.paths import PACKAGE

SOURCES = PACKAGE / "web"
EXPLORER = PACKAGE / "server" / "page"
SUFFIX = ".html"
ENDS_ELEMENT = re.compile("</script|</style|<!--", re.IGNORECASE)


def write_page(package: Path, path: Path) -> None:
    """Write the page of a packaged model.

    Raises:
        UserError: the model has a part that the page lacks.
    """
    about, content = web_content(package)
    environment = Environment(loader=PackageLoader("s2s_plugin", "web"), undefined=StrictUndefined, autoescape=True)
    page = environment.get_template("page.html.j2").render(
        title=about["name"],
        style=_raw((EXPLORER / "style.css").read_text(encoding="utf-8")),
        kernel=base64.b64encode((SOURCES / "kernel/kernel.wasm").read_bytes()).decode(),
        worker=_raw(bundle(SOURCES / "worker.js")),
        page=_raw(bundle(SOURCES / "page.js")),
        model=base64.b64encode(_deflate(content)).decode(),
    )
    write_text(path, page)


def _deflate(content: bytes) -> bytes:
    compressor = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return compressor.compress(content) + compressor.flush()


def _raw(text: str) -> Markup:
    """Return code or style as it is, for an element that it cannot end."""
    if match := ENDS_ELEMENT.search(text):
        raise ValueError(f"code or style in a page must not have {match[0]}")
    return Markup(text)  # noqa: S704 (ours)
