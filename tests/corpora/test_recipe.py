"""A recipe by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from s2s_plugin.corpora import recipe
from s2s_plugin.errors import UserError


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
