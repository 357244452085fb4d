"""Corpora that go one way refuse to be turned round, which would only exchange the names of their sides."""

from pathlib import Path

import pytest

from s2s_plugin.corpora.recipe import load_recipe
from s2s_plugin.errors import UserError

ONE_WAY = ["aeslc", "aiml_chat", "cli_examples", "debian_descriptions", "nl2bash", "songys_chatbot"]


@pytest.mark.parametrize("name", ONE_WAY)
def test_sides_that_are_turned_round_are_refused(name: str, tmp_path: Path):
    recipe = load_recipe(name)
    source, target = recipe.SIDES
    with pytest.raises(UserError, match=f"goes from {source} to {target}, and --src is {target}, --tgt {source}"):
        recipe.prepare(tmp_path / "out", target, source, tmp_path, from_dir=tmp_path)
    assert not (tmp_path / "out").exists()
