"""Corpora of one direction refuse the reverse, which would only exchange the names of their sides."""

from pathlib import Path

import pytest

from s2s_plugin.corpora.recipe import load_recipe
from s2s_plugin.errors import UserError

ONE_WAY = ["aeslc", "aiml_chat", "cli_examples", "debian_descriptions", "nl2bash", "scan", "songys_chatbot"]


@pytest.mark.parametrize("name", ONE_WAY)
def test_reversed_sides_are_refused(name: str, tmp_path: Path):
    prepare = load_recipe(name).prepare
    ((source, target),) = prepare.directions
    with pytest.raises(UserError, match=f"{name} supports {source}-{target}, got --src {target} --tgt {source}"):
        prepare(tmp_path / "out", target, source, tmp_path, from_dir=tmp_path)
    assert not (tmp_path / "out").exists()
