"""What docs/licenses.md says about data and libraries is so."""

from __future__ import annotations

import configparser
import re
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import yaml
from command_line import ROOT
from media import item, write_image
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from s2s_plugin.corpora.recipe import load_recipe
from s2s_plugin.corpora.writing import license_of
from s2s_plugin.datasets.frontends import build_frontend
from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import write_json

PAGE = (ROOT / "docs/licenses.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")]
RECIPES = sorted(path.parent.name for path in (ROOT / "data").glob("*/prepare.py"))
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_declares_a_license(name: str):
    assert load_recipe(name).prepare.license
    assert re.search(r"^\| license \| \S", (ROOT / f"data/{name}/README.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", sorted((ROOT / "conf/app").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_default_of_each_app_is_listed_with_its_license(path: Path):
    default = next(
        entry["override /data"] for entry in yaml.safe_load(path.read_text())["defaults"] if "override /data" in entry
    )
    row = next(row for row in ROWS if row[0] == path.stem)
    assert row[1:3] == [f"`{default}`", load_recipe(default).prepare.license]


def closure(names: list[str]) -> dict[str, metadata.Distribution]:
    """Return the installed packages that these require, without extras, by name."""
    found: dict[str, metadata.Distribution] = {}
    while names:
        name = canonicalize_name(names.pop())
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # on another platform
            continue
        for requirement in map(Requirement, found[name].requires or []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                names += [requirement.name] if canonicalize_name(requirement.name) not in found else []
    return found


def test_the_package_itself_requires_no_gpl():
    names = [Requirement(line).name for line in SETUP["options"]["install_requires"].split()]
    for name, distribution in closure(names).items():
        fields = [distribution.metadata.get(key) or "" for key in ("License", "License-Expression")]
        stated = " ".join([*(field[:100] for field in fields), *(distribution.metadata.get_all("Classifier") or [])])
        assert not re.search(r"\bA?L?GPL|General Public", stated), name


def test_every_package_of_the_extras_is_listed():
    for extra, lines in SETUP["options.extras_require"].items():
        for line in [] if extra in ("docs", "dev") else (line for line in lines.split("\n") if line and line[0] != "#"):
            name = Requirement(line).name
            assert any(extra in row[0] and name in row[1] for row in ROWS), name


@pytest.mark.parametrize(
    ("package", "files"),
    [
        ("av", "libx264 libx265"),
        ("espeakng-loader", "libespeak-ng"),
        ("soundfile", "libsndfile"),
        ("soxr", "soxr_ext"),
        ("face-recognition-models", "shape_predictor_68_face_landmarks"),
    ],
)
def test_a_wheel_brings_what_is_said(package: str, files: str):
    try:
        names = " ".join(path.name for path in metadata.files(package) or [])
    except metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed")
    assert all(name in names for name in files.split())


def test_folders_of_frames_need_no_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "av", None)  # type: ignore[arg-type]
    (tmp_path / "clip").mkdir()
    for number in range(3):
        write_image(tmp_path / f"clip/{number}.png", np.zeros((8, 8, 3), np.uint8))
    frontend = build_frontend("video", {"height": 8, "width": 8})
    assert frontend.load(item(tmp_path / "clip")).shape == (3, 8, 8)
    (tmp_path / "a.mp4").write_bytes(b"video")
    with pytest.raises(UserError, match=r"a\.mp4: a video file requires the package av: pip install"):
        frontend.load(item(tmp_path / "a.mp4"))


def test_the_license_of_several_corpora(tmp_path: Path):
    parts = {"en-de": {"license": "MPL-2.0"}, "de-en": {"license": "MPL-2.0"}, "en-ko": {"license": "MIT"}, "x": {}}
    write_json(tmp_path / "manifest.json", {"name": "several", "corpora": parts})
    assert license_of(tmp_path) == "MPL-2.0; MIT"
