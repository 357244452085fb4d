"""Parts of a user's own outside the repository: the files and commands of docs/extend.md, as they stand there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import call
from extend_page import COMMANDS, FILES, PAGE, command, write_files
from omegaconf import OmegaConf

from s2s_plugin.utils.io import read_json

LOSS = """
from fairseq.criterions import label_smoothed_cross_entropy, register_criterion


@register_criterion("my_loss", dataclass=label_smoothed_cross_entropy.LabelSmoothedCrossEntropyCriterionConfig)
class MyLoss(label_smoothed_cross_entropy.LabelSmoothedCrossEntropyCriterion):
    pass
"""
SHORT = {"300": "3", "400": "4"}  # updates


def run(line: str, cwd: Path, check: bool = True) -> subprocess.CompletedProcess:
    """Run a command of the page, with fewer updates."""
    said, _, line = line.rpartition(" | ")
    words = [
        word for each in shlex.split(line) for word in (sorted(map(str, cwd.glob(each))) if "*" in each else [each])
    ]
    if line.startswith("s2s run"):
        words += ["workers=1"] if "optimization" in line else ["workers=1", "optimization.max_update=3"]
    words = [re.sub(r"(?<![\d.])[34]00$", lambda match: SHORT[match[0]], word) for word in words]
    return call(words, cwd=cwd, stdin=shlex.split(said)[1] + "\n" if said else None, check=check)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the page's files after its first run, and a cache folder in which its package is noted."""
    folder = tmp_path_factory.mktemp("extend").resolve()
    write_files(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("S2S_CACHE", str(folder / "cache"))
        done = run(command(r"^s2s run .*experiment=numbers$"), folder)
        (folder / "printed.txt").write_text(done.stderr)
        yield folder


def test_the_page_has_all_files():
    listed = re.findall(r"^(my_\S+)", PAGE[PAGE.index("```text") :].partition("```\n")[0], re.MULTILINE)
    assert list(FILES) == listed and len(COMMANDS) == 10


def test_a_run_has_the_parts(folder: Path):
    config = OmegaConf.load(folder / "runs/nmt/numbers/config.yaml")
    assert (config.model.attention, config.common.user_dir) == ("scaled", str(folder / "my_parts"))
    scores = read_json(folder / "runs/nmt/numbers/scores.json")
    assert scores["metrics"]["first word"]["signature"] == "first word|case:mixed|refs:1"
    assert "--user-dir my_parts" in (folder / "runs/nmt/numbers/commands.txt").read_text()
    assert len(run(command("^echo"), folder).stdout.splitlines()) == 1
    listed = call("s2s list attentions common.user_dir=my_parts", cwd=folder).stdout
    assert "model.attention=scaled      score(h, m_s) = (Q h)^T (K m_s) / sqrt(A)." in listed


def test_the_license_is_printed_and_reported(folder: Path):
    assert "      license of numbers: CC0-1.0\n" in (folder / "printed.txt").read_text()
    assert read_json(folder / "runs/nmt/numbers/data/prepared.json")["license"] == "CC0-1.0"
    page = (folder / "runs/nmt/numbers/report.html").read_text()
    assert re.search(r"<dt>License</dt>\s*<dd>CC0-1\.0</dd>", page)


@pytest.mark.parametrize(
    "words",
    [
        "translate app=nmt name=numbers",
        "run app=nmt name=numbers optimization.max_update=9",
        "run app=nmt name=other data=multi30k finetune_from=numbers",
        "compare runs/nmt/numbers runs/nmt/numbers",
    ],
)
def test_a_strangers_run_imports_nothing(folder: Path, tmp_path: Path, words: str):
    """Its config names code that came with it; the user has named another package, and not this one."""
    shutil.copytree(folder / "runs", tmp_path / "runs")
    evil = tmp_path / "evil/__init__.py"
    evil.parent.mkdir()
    evil.write_text("open('executed', 'w')")
    config = tmp_path / "runs/nmt/numbers/config.yaml"
    text = config.read_text().partition("\n")[2].replace(str(folder / "my_parts"), str(evil.parent))
    config.write_text(text)
    done = call(f"s2s {words}", cwd=tmp_path, stdin="4 2\n", check=False)
    assert done.returncode == 2
    assert f"add common.user_dir={evil.parent} if you trust it, else common.user_dir=null" in done.stderr
    assert not list(tmp_path.rglob("executed"))


def test_a_run_does_without_its_package(folder: Path):
    done = call("s2s translate app=nmt name=numbers common.user_dir=null", cwd=folder, stdin="4 2\n", check=False)
    assert done.returncode == 2 and "model.attention must be one of none, dot," in done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("common.user_dir=missing", "common.user_dir must be a folder with __init__.py, got {cwd}/missing"),
        ("common.user_dir=wrong", "{cwd}/wrong/part.py:2: cannot be imported (NameError: name 'mine' is not defined)"),
        (
            "common.user_dir=twice",
            "{cwd}/twice/__init__.py:2: cannot be imported (ValueError: cannot register duplicate",
        ),
        ("common.user_dir=scoreless", "the attention mine (Mine) must define score(query, memory, history_features)"),
        ("common.user_dir=json", "is not globally unique"),
        ("--config-dir missing", "--config-dir must be a folder, got {cwd}/missing"),
        ("--config-dir=same", "{cwd}/same/app/nmt.yaml has the name of a file of s2s or of a registered part"),
        ("--config-dir same/part", "{cwd}/same/part/optimizer/nag.yaml has the name of a file of s2s or of a reg"),
        ("--config-path same", "--config-path would replace the config of s2s"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, words: str, expected: str):
    files = {
        "wrong/__init__.py": "from wrong import part\n",
        "wrong/part.py": "import s2s_plugin\nmine\n",
        "twice/__init__.py": "from s2s_plugin.models.attention import GeneralAttention, register_attention\n"
        "register_attention('dot')(GeneralAttention)\n",
        "scoreless/__init__.py": "from s2s_plugin.models.attention import Attention, register_attention\n"
        "@register_attention('mine')\nclass Mine(Attention):\n    pass\n",
        "json/__init__.py": "",
        "same/app/nmt.yaml": "",
        "same/part/optimizer/nag.yaml": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    done = call(f"s2s list apps {words}", cwd=tmp_path, check=False)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert expected.format(cwd=tmp_path.resolve()) in done.stderr


def test_an_unknown_experiment_is_refused(folder: Path):
    done = call("s2s run --config-dir my_conf app=nmt experiment=number", cwd=folder, check=False)
    assert done.returncode == 2 and "there is no experiment=number (did you mean numbers?)" in done.stderr


@pytest.mark.slow
def test_the_rest_of_the_page(folder: Path, tmp_path: Path):
    cwd = tmp_path / "page"
    shutil.copytree(folder, cwd)
    assert "data=numbers" in run(command("s2s list"), cwd).stdout
    with (cwd / "my_parts/__init__.py").open("a") as file:
        file.write(LOSS)
    for line in [*COMMANDS[3:5], command("model=windowed$") + " criterion=my_loss", *COMMANDS[6:]]:
        done = run(line.replace("model=windowed", "model=windowed model.window=7"), cwd)
    assert len(re.findall(r"^H-", done.stdout, re.MULTILINE)) == 100 and "first word = " in done.stdout
    config = OmegaConf.load(cwd / "runs/nmt/windowed/config.yaml")
    assert (config.model._name, config.model.window, config.criterion._name) == ("window", 7, "my_loss")
    assert config.common.user_dir == str(cwd / "my_parts")
    done = call("s2s translate app=nmt name=windowed", cwd=cwd, stdin="4 2\n")
    assert len(done.stdout.splitlines()) == 1
    config = OmegaConf.load(cwd / "runs/nmt/more/config.yaml")
    assert (config.model.attention, Path(config.common.user_dir).name) == ("scaled", "my_parts")
