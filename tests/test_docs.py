"""README and docs are whole, and what they name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from command_line import ROOT, call

from s2s_plugin.models.config import Seq2SeqConfig

DOCS = sorted((ROOT / "docs").rglob("*.md"))
TOP = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
RECIPES = sorted((ROOT / "data").glob("*/README.md"))
PAGES = [*TOP, *DOCS, *RECIPES]

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and mkdocs make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@each_page
def test_a_page_is_whole(page: Path):
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert text.endswith("\n")
    assert len(re.findall(r"^```", text, re.MULTILINE)) % 2 == 0, "a code fence is left open"
    assert text.count("<<<<<<<") == text.count(">>>>>>>") == 0


@each_page
def test_links_and_paths_exist(page: Path):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"(https?|mailto):", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target
    if page in RECIPES:  # whose paths are those of the source
        return
    paths = re.findall(r"`((?:s2s_plugin|conf|data|tests|bench|docs)/[^`<*\s]*)`", text)
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert not missing


@each_page
def test_a_command_is_quoted_for_every_shell(page: Path):
    """An unquoted [ is a pattern in zsh, the shell of macOS."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines() if re.match(r"(s2s|pip|make|python) ", line)]
    commands += re.findall(r"`((?:s2s|pip|make|python) [^`]+)`", text)
    quoted = [re.sub(r"'[^']*'|\"[^\"]*\"", "", command) for command in commands]
    assert not [command for command in quoted if "[" in command]


def test_the_configuration_reference_follows_the_dataclasses():
    call("docs/reference.py --check")


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 130


def test_every_page_is_in_the_navigation():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = re.findall(r": (\S+\.md)$", text[text.index("nav:") :], re.MULTILINE)
    assert sorted(named) == sorted(str(page.relative_to(ROOT / "docs")) for page in DOCS)
    assert yaml.safe_load(text[text.index("nav:") :])


def test_model_options_exist():
    text = "".join(page.read_text(encoding="utf-8") for page in [TOP[0], *DOCS])
    named = set(re.findall(r"\bmodel\.([a-z_]+)=", text))
    assert {"attention", "coverage", "pointer"} <= named <= Seq2SeqConfig.__dataclass_fields__.keys()


def test_the_spine_is_quoted_as_it_is():
    """Each line of code in the walk stands in the file."""
    spine = (ROOT / "s2s_plugin/models/seq2seq.py").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/model.md").read_text(encoding="utf-8"), re.DOTALL)
    for line in block.splitlines():
        assert line.partition("  #")[0].strip() in spine
