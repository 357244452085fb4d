"""What the documentation names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command_line import ROOT

import s2s_plugin.models.attention
import s2s_plugin.models.build
from s2s_plugin.models.config import Seq2SeqConfig

DOCS = sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_paths_exist(page: Path):
    paths = re.findall(r"`((?:s2s_plugin|conf|data|tests|bench)/[^`<]*)`", page.read_text(encoding="utf-8"))
    assert paths
    missing = [path for path in paths if not list(ROOT.glob(path.rstrip("/")))]
    assert not missing


def test_options_and_names_exist():
    text = "".join(page.read_text(encoding="utf-8") for page in DOCS)
    fields = Seq2SeqConfig.__dataclass_fields__
    options = re.findall(r"`(?:model\.)?([a-z_]+)=[a-z]+`", text)
    assert {"attention", "coverage", "pointer"} <= set(options) <= fields.keys()
    assert {"share_all_embeddings", "encoder_embed_path", "adaptive_cutoffs"} <= fields.keys()
    assert s2s_plugin.models.attention.ATTENTIONS and s2s_plugin.models.build.SIGNAL_ENCODERS


def test_the_spine_is_quoted_as_it_is():
    """Each line of code in the walk stands in the file."""
    spine = (ROOT / "s2s_plugin/models/seq2seq.py").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/model.md").read_text(encoding="utf-8"), re.DOTALL)
    for line in block.splitlines():
        assert line.partition("  #")[0].strip() in spine
