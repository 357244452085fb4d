"""The chapter and the README in two languages say the same, and the chapter's commands print what it shows."""

from __future__ import annotations

import importlib.util
import math
import re
import shlex
from collections import Counter
from difflib import SequenceMatcher
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from command_line import ROOT, call

from s2s_plugin.stages.diagnose.stage import MEASURES
from s2s_plugin.utils.io import build_folder

DOCS = ROOT / "docs"
ENGLISH, KOREAN = DOCS / "en/chapter.md", DOCS / "ko/chapter.md"
PAIRS = {"chapter": (ENGLISH, KOREAN), "README": (ROOT / "README.md", ROOT / "README.ko.md")}
FENCE = re.compile(r"^```\w*\n.*?^```$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r" +# .*$", re.MULTILINE)  # of a command, which is translated
HEADING = re.compile(r"^(#+) .*$", re.MULTILINE)
NUMBER = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*")
SHOWN = re.compile(r"^```\n([^\n]*)\n```\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)  # a command, its output

both_languages = pytest.mark.parametrize("name", PAIRS)


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


SHOWN_IN = {page: dict(SHOWN.findall(read(page))) for page in (ENGLISH, KOREAN)}
OUTPUTS = SHOWN_IN[ENGLISH]


def script(name: str) -> ModuleType:
    """Import a script of docs/."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ------------------------------------------------------------ two languages


@both_languages
def test_headings_are_the_same_in_number_and_order(name: str):
    english, korean = ([len(level) for level in HEADING.findall(FENCE.sub("", read(page)))] for page in PAIRS[name])
    assert english == korean and len(english) > 7


@both_languages
def test_commands_outputs_and_links_are_the_same(name: str):
    english, korean = map(read, PAIRS[name])
    blocks, others = (FENCE.findall(COMMENT.sub("", text)) for text in (english, korean))
    assert blocks == others and blocks
    links = [re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", text)) for text in (english, korean)]
    one, other = (sorted(re.sub(r"\bko/|\.ko\b", "", link.replace("en/", "")) for link in each) for each in links)
    assert one == other


@both_languages
def test_figures_are_the_same_section_by_section(name: str):
    sections = [HEADING.split(FENCE.sub("", read(page)))[::2] for page in PAIRS[name]]
    for number, texts in enumerate(zip(*sections, strict=True)):
        english, korean = (Counter(NUMBER.findall(text)) for text in texts)
        assert english == korean, f"section {number}"


def test_each_heading_with_a_command_has_an_output_and_two_solved_exercises():
    for page, exercise in ((ENGLISH, "**Exercise"), (KOREAN, "**연습 문제")):
        sections = [text for text in re.split(r"^#+ ", read(page), flags=re.MULTILINE) if "```\n" in text]
        assert len(sections) == len(SHOWN_IN[page]) == 13
        for text in sections:
            assert [text.count(mark) for mark in ("```text\n", exercise, "<details", "</details>")] == [1, 2, 2, 2]
            assert re.search(r"^\[`[\w.]+`\]\(\S+\.py\)$", text, re.MULTILINE), "no code"
            assert re.search(r"^\|.*(?:shape|모양)", text, re.MULTILINE), "no shapes"


def test_the_readmes_link_each_other_first():
    for page, other in (PAIRS["README"], PAIRS["README"][::-1]):
        assert f"]({other.name})" in "".join(read(page).splitlines()[:5])
        assert len(read(page).splitlines()) < 130


# ------------------------------------------------------------ code and formulas of the site


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    pytest.importorskip("latex2mathml")
    return script("hooks")


def test_code_is_shown_as_it_stands(hooks: ModuleType):
    page = SimpleNamespace(file=SimpleNamespace(abs_src_path=str(ENGLISH), src_uri="en/chapter.md"))
    shown = hooks.on_page_markdown(read(ENGLISH), page)
    assert not hooks.CODE.search(shown)
    assert '```python title="s2s_plugin/models/memory.py"\nclass Memory(NamedTuple):\n' in shown
    forward = '```python title="s2s_plugin/models/encoders/text.py"\ndef forward(self, src_tokens: Tensor'
    assert f"{forward}, src_lengths: Tensor) -> Memory:\n    " in shown
    assert "\n@" not in hooks.definition(ROOT / "s2s_plugin/models/seq2seq.py", "Seq2SeqModel.forward")
    assert hooks.definition(ROOT / "s2s_plugin/models/seq2seq.py", "Seq2SeqModel").startswith("@register_model(")


def test_a_name_that_is_gone_stops_the_build(hooks: ModuleType):
    with pytest.raises(hooks.PluginError, match=r"s2s_plugin/models/memory\.py has no Memory\.forget"):
        hooks.definition(ROOT / "s2s_plugin/models/memory.py", "Memory.forget")


def test_formulas_are_mathml_and_korean_is_marked(hooks: ModuleType):
    content = r'<p>a <span class="arithmatex">\(y_{&lt;t}\)</span></p><div class="arithmatex">\[\sum_t P\]</div>'
    page = SimpleNamespace(file=SimpleNamespace(src_uri="ko/chapter.md"))
    shown = hooks.on_page_content(content, page)
    assert "arithmatex" not in shown and shown.count("<math") == 2 and 'display="block"' in shown
    assert shown.startswith('<div lang="ko"')


# ------------------------------------------------------------ commands


def test_what_the_commands_name_exists():
    experiments = script("chapter").EXPERIMENTS
    for command in OUTPUTS:
        words = shlex.split(command)
        if words[0] == "python":
            assert words[1] == "docs/chapter.py" and words[2] in experiments
        for measure in re.findall(r"measures=\[(\w+)\]", command):
            assert measure in MEASURES
    assert sum(command.startswith("python ") for command in OUTPUTS) == len(experiments)


def test_figures_of_an_output_fit_each_other():
    """As the exercises compute them."""
    first = next(output for command, output in OUTPUTS.items() if "nbest=2" in command)
    scores = [float(score) for score in re.findall(r"^1\t(\S+)", first, re.MULTILINE)]
    tables = re.split(r"^1\t", first, flags=re.MULTILINE)[1:]
    for score, table in zip(scores, tables, strict=True):
        probabilities = [float(each) for each in re.findall(r"^    \S+ +(\d\.\d\d)  ", table, re.MULTILINE)]
        assert math.log(math.prod(probabilities)) / len(probabilities) == pytest.approx(score, abs=0.01)
    shown = OUTPUTS["s2s diagnose runs/nmt/default 'diagnose.measures=[source]'"]
    bits = re.findall(r"(\d+\.\d+) +(\d+\.\d)$", shown, re.MULTILINE)
    assert len(bits) == 4 and all(2 ** float(a) == pytest.approx(float(b), rel=0.01) for a, b in bits)


def test_experiments_hold_for_any_translator(small_model: Path, capsys: pytest.CaptureFixture):
    chapter = script("chapter")
    model, task = chapter.load(str(small_model / "runs/nmt/default"))
    with torch.inference_mode():
        for name, experiment in chapter.EXPERIMENTS.items():
            experiment(model, task)
            printed, shown = capsys.readouterr().out, OUTPUTS[f"python docs/chapter.py {name}"]
            printed = printed.replace("one table for both sides: False", "one table for both sides: True")  # no default
            assert "False" not in printed and printed.count("True") == shown.count("True")
            labels = [re.findall(r"^[a-z].*?(?= {2}|\d|:|$)", text, re.MULTILINE) for text in (printed, shown)]
            assert labels[0] == labels[1]


@pytest.fixture(scope="module")
def default_run(shared: Path) -> Path:
    """The folder with the run of ``make run``."""
    return build_folder(shared / "default", lambda folder: call("s2s run app=nmt", cwd=folder, timeout=3600))


@pytest.mark.slow  # trains the default translator
@pytest.mark.parametrize("command", OUTPUTS)
def test_a_command_prints_what_the_page_shows(default_run: Path, command: str):
    words = command.replace("docs/", f"{DOCS}/")
    assert similar(OUTPUTS[command], call(words, cwd=default_run).stdout)


def similar(shown: str, printed: str) -> bool:
    """Return whether two outputs agree but for what another machine's rounding in training changes.

    At least 80 % of the words are the same, and 90 % of the numbers at the same place are within a quarter and 0.3.
    """
    texts = [re.sub(r"^report .*", "", text, flags=re.MULTILINE) for text in (shown, printed)]
    words = [re.findall(r"\d+(?:\.\d+)?|[^\W\d]+|\S", text) for text in texts]
    masked = [["0" if word[0].isdigit() else word for word in each] for each in words]
    matcher = SequenceMatcher(None, *masked, autojunk=False)
    pairs = [
        (float(words[0][block.a + i]), float(words[1][block.b + i]))
        for block in matcher.get_matching_blocks()
        for i in range(block.size)
        if masked[0][block.a + i] == "0"
    ]
    close = sum(abs(one - other) <= 0.25 * max(one, other) + 0.3 for one, other in pairs)
    return matcher.ratio() >= 0.8 and close >= 0.9 * len(pairs)


def test_outputs_are_compared_by_words_and_figures():
    shown = OUTPUTS["s2s diagnose runs/nmt/default 'diagnose.measures=[length]'"]
    assert similar(shown, shown.replace("34.1", "33.8") + "\nreport runs/nmt/default/report.html\n")
    assert not similar(shown, re.sub(r"\d\d\.\d+", "3.1", shown))
    assert not similar(shown, OUTPUTS["s2s list apps"])
