"""The wheel holds everything that a run needs, and stays out of the way of a checkout."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from command_line import ROOT, call, write_reversed
from extend_page import command, write_files
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")
SHIPPED = ("conf", "data")


def test_every_package_is_listed():
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "s2s_plugin").rglob("__init__.py")}
    expected = {".".join(folder.parts) for folder in folders} | {f"s2s_plugin.{name}" for name in SHIPPED}
    assert set(SETUP["options"]["packages"].split()) == expected


def test_pins_are_within_the_ranges():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {canonicalize_name(name): version for name, version in (line.split("==") for line in lines if "==" in line)}
    required = [SETUP["options"]["install_requires"], *SETUP["options.extras_require"].values()]
    for requirement in (Requirement(line) for lines in required for line in lines.split()):
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed wheel, built from a copy because setuptools writes into its sources."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("s2s_plugin", *SHIPPED):
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, folder / "source"]
    subprocess.run(build, check=True, capture_output=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder / "site")
    return folder / "site"


def run(site: Path, cwd: Path, *words: str) -> str:
    """Run Python with the installed wheel; return what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(site), "S2S_CACHE": str(cwd / "cache")}
    done = subprocess.run([sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_wheel_holds_the_package_and_its_folders(site: Path):
    for name in ("s2s_plugin", *SHIPPED):
        inside = site / "s2s_plugin" / ("" if name == "s2s_plugin" else name)
        for path in (ROOT / name).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert (inside / path.relative_to(ROOT / name)).read_bytes() == path.read_bytes()


def test_wheel_runs_in_an_empty_folder(site: Path, tmp_path: Path):
    write_reversed(tmp_path, {"my": 60}, ("en", "de"))
    options = "data=files data.source=my.en data.target=my.de model=tiny subword.size=40 optimization.max_update=3"
    run(site, tmp_path, "-m", "s2s_plugin.cli", "run", "app=nmt", *options.split())
    assert (tmp_path / "runs/nmt/default/report.html").is_file()
    assert f"user_dir: {site}" in (tmp_path / "runs/nmt/default/config.yaml").read_text()


@pytest.mark.slow
def test_parts_of_a_users_own_with_the_wheel(site: Path, tmp_path: Path):
    write_files(tmp_path)
    words = command(r"^s2s run .*experiment=numbers$").split()[1:]
    run(site, tmp_path, "-m", "s2s_plugin.cli", *words, "optimization.max_update=3", "workers=1")
    assert "first word" in (tmp_path / "runs/nmt/numbers/scores.json").read_text()


def test_a_checkout_is_used_beside_the_wheel(site: Path, tmp_path: Path):
    """``--user-dir`` wins over the installed package, and fairseq does not call its name "not globally unique"."""
    write_reversed(tmp_path, {"train": 60, "valid": 20}, ("de", "en"))
    preprocess = (
        "--source-lang de --target-lang en --trainpref train --validpref valid --joined-dictionary --destdir bin"
    )
    call(f"fairseq-preprocess {preprocess}", cwd=tmp_path)
    program = (
        "import sys; from fairseq_cli.train import cli_main; cli_main(); print(sys.modules['s2s_plugin'].__file__)"
    )
    options = "--task s2s --arch s2s_tiny --optimizer adam --max-update 2 --max-tokens 500 --num-workers 2 --cpu"
    printed = run(site, tmp_path, "-c", program, "bin", "--user-dir", f"{ROOT}/s2s_plugin", *options.split())
    assert printed.splitlines()[-1] == f"{ROOT}/s2s_plugin/__init__.py"
