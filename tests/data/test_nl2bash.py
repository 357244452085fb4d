"""NL2Bash, on its real files: the paper's split, line by line."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest
from recipes import assert_manifest, read, sample

from s2s_plugin.corpora.recipe import load_recipe
from s2s_plugin.corpora.splits import SPLITS
from s2s_plugin.errors import UserError

nl2bash = load_recipe("nl2bash")


@pytest.fixture
def nl2bash_files() -> Path:
    return sample("nl2bash")


def test_split_is_the_papers(nl2bash_files: Path, tmp_path: Path):
    out = nl2bash.prepare(tmp_path / "out", "en", "bash", tmp_path / "cache", from_dir=nl2bash_files)
    files = assert_manifest(out, "nl2bash")
    assert [files[f"{split}.bash"]["lines"] for split in SPLITS] == [8_090, 609, 606]
    assert [len(set(read(out, f"{split}.en"))) for split in ("valid", "test")] == [549, 547]
    commands = {split: set(read(out, f"{split}.bash")) for split in SPLITS}
    assert len(commands["valid"]) == 599
    assert not commands["train"] & (commands["valid"] | commands["test"])


def test_every_line_is_used_once(nl2bash_files: Path, tmp_path: Path):
    """Commands as they are, but for spaces around them."""
    out = nl2bash.prepare(tmp_path / "out", "en", "bash", tmp_path / "cache", from_dir=nl2bash_files)
    official = gzip.decompress((nl2bash_files / "all.cm.gz").read_bytes()).decode("utf-8").split("\n")[:-1]
    split = json.loads(nl2bash.SPLIT.read_text(encoding="utf-8"))
    used = [line.strip() for number, line in enumerate(official, start=1) if number not in set(split["left_out"])]
    assert Counter(line for name in SPLITS for line in read(out, f"{name}.bash")) == Counter(used)
    held_out = [line for name in ("valid", "test") for item in split[name] for line in item]
    assert len(held_out) == len(set(held_out))
    assert not set(held_out) & set(split["left_out"])


def test_other_files_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"no all\.nl in .* data/bash/all\.nl"):
        nl2bash.prepare(tmp_path / "out", "en", "bash", tmp_path, from_dir=tmp_path)
    (tmp_path / "all.nl").write_text("only one line\n")
    (tmp_path / "all.cm.gz").write_bytes(b"no gzip")
    with pytest.raises(UserError, match=r"all\.nl has 1 lines, the official file has 12,607"):
        nl2bash.prepare(tmp_path / "out", "en", "bash", tmp_path, from_dir=tmp_path)
    (tmp_path / "all.nl").write_text("a line\n" * 12_607)
    with pytest.raises(UserError, match=r"all\.cm\.gz: not compressed as its name says; get it again"):
        nl2bash.prepare(tmp_path / "out", "en", "bash", tmp_path, from_dir=tmp_path)
