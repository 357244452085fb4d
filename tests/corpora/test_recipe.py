"""A recipe by its name."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from s2s_plugin.corpora import recipe
from s2s_plugin.corpora.fetching.download import Expected
from s2s_plugin.corpora.recipe import load_recipe
from s2s_plugin.errors import UserError
from s2s_plugin.utils.paths import RECIPES


def test_changed_code_makes_another_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recipe, "RECIPES", tmp_path / "data")
    folder = tmp_path / "data" / "mine"
    folder.mkdir(parents=True)
    (folder / "prepare.py").write_text("A = 1\n")
    first = recipe.recipe_stamp("mine")
    (folder / "README.md").write_text("about it")
    (folder / "prepare.py").write_text("A = 1  # a remark\n")
    assert recipe.recipe_stamp("mine") == first
    (folder / "helper.py").write_text("B = 1\n")
    second = recipe.recipe_stamp("mine")
    (folder / "helper.py").write_text("B = 2\n")
    assert len({str(stamp) for stamp in (first, second, recipe.recipe_stamp("mine"))}) == 3
    assert recipe.recipe_stamp(None) == {}
    with pytest.raises(UserError, match=r"data\.recipe must be one of mine, got other"):
        recipe.recipe_stamp("other")


def guarantees(value: Any) -> list[Expected]:
    """Everything of this kind in a constant of a recipe."""
    if isinstance(value, Expected):
        return [value]
    return [found for item in value.values() for found in guarantees(item)] if isinstance(value, dict) else []


FIXED = {"aiml_chat", "cli_examples", "cmudict", "emoji", "multi30k", "nl2bash", "scan", "songys_chatbot"}
PACKED_ON_DEMAND, MD5 = {"aeslc", "fsdd"}, {"flickr8k"}
NOT_FETCHED = {"miracl", "synthetic_lips", "sigmorphon2020"}  # the last has its own table and test


@pytest.mark.parametrize("name", sorted(path.parent.name for path in RECIPES.glob("*/prepare.py")))
def test_every_recipe_says_what_its_files_must_be(name):
    module = load_recipe(name)
    assert "http://" not in inspect.getsource(module)
    found = [expected for value in vars(module).values() for expected in guarantees(value)]
    assert bool(found) != (name in NOT_FETCHED)
    for expected in found:
        assert expected.max_size <= 1_300_000_000
        assert not expected.sha256 or len(expected.sha256) == 64
        if name in FIXED:
            assert isinstance(expected.size, int) and expected.sha256
        assert bool(expected.content) == (name in PACKED_ON_DEMAND)
        assert bool(expected.md5) == (name in MD5)
        if isinstance(expected.size, tuple):
            assert 0 < expected.size[0] < expected.size[1]
