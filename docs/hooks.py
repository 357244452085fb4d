"""Hooks of the site: code of the repository by its name, and formulas as MathML, which needs no script."""

from __future__ import annotations

import ast
import html
import re
import textwrap
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError

ROOT = Path(__file__).resolve().parents[1]
# A link alone on its line, [`Class.method`](../../s2s_plugin/file.py): GitHub shows the link, the site the code.
CODE = re.compile(r"^\[`([\w.]+)`\]\((\S+\.py)\)$", re.MULTILINE)
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)  # as arithmatex leaves it


def on_page_markdown(markdown: str, page, **_) -> str:
    """Replace links to code by the code."""
    folder = Path(page.file.abs_src_path).parent

    def insert(link: re.Match) -> str:
        path = (folder / link[2]).resolve()
        return f'```python title="{path.relative_to(ROOT)}"\n{definition(path, link[1])}\n```'

    return CODE.sub(insert, markdown)


def on_page_content(content: str, page, **_) -> str:
    """Write formulas as MathML, and name the language of the page."""

    def mathml(match: re.Match) -> str:
        latex = html.unescape(match[3]).strip()
        if match[1] == "span":
            return convert(latex)
        return f'<div style="overflow-x: auto">{convert(latex, display="block")}</div>'  # wider than a phone

    content = FORMULA.sub(mathml, content)
    language = page.file.src_uri.partition("/")[0]
    return f'<div lang="ko" style="word-break: keep-all">{content}</div>' if language == "ko" else content


def definition(path: Path, name: str) -> str:
    """Return the source of a function, class or method, ``Class.method``.

    Raises:
        PluginError: the file has none of that name.
    """
    source = path.read_text(encoding="utf-8")
    node: ast.AST = ast.parse(source)
    for part in name.split("."):
        named = [child for child in ast.iter_child_nodes(node) if getattr(child, "name", None) == part]
        if not named:
            raise PluginError(f"{path.relative_to(ROOT)} has no {name}")
        node = named[-1]
    assert isinstance(node, ast.ClassDef | ast.FunctionDef)
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return textwrap.dedent("\n".join(source.splitlines()[first - 1 : node.end_lineno]))
