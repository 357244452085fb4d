"""Recipes: ``data/<name>/prepare.py``, which makes a corpus from a public source."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

from omegaconf import DictConfig

from s2s_plugin.corpora import splits as corpus
from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import fingerprint
from s2s_plugin.utils.paths import RECIPES


def run_recipe(cfg: DictConfig, out: Path) -> Path:
    """Make the corpus that ``cfg.data`` names in the folder ``out``.

    Raises:
        UserError: there is no such recipe or option, or the data cannot be had.
    """
    recipe = load_recipe(cfg.data.recipe)
    options = {str(key): value for key, value in cfg.data.options.items()}
    from_dir = None if cfg.data.from_dir is None else Path(cfg.data.from_dir)
    downloads = Path(cfg.prepared_dir) / "downloads"
    source, target = cfg.data.source_lang, cfg.data.target_lang
    try:
        return recipe.prepare(out=out, src=source, tgt=target, cache=downloads, from_dir=from_dir, **options)
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        raise UserError(f"data.options: the recipe {cfg.data.recipe} has no such option ({error})") from None
    except UserError as error:
        raise UserError(str(error).replace("--from FOLDER", "data.from_dir=FOLDER")) from None


def load_recipe(name: str):
    """The module ``data/<name>/prepare.py``."""
    path = _path(name)
    spec = importlib.util.spec_from_file_location(f"recipe_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def recipe_stamp(name: str | None) -> dict[str, str]:
    """The code that makes the corpus, in short and without its comments: other code may make another corpus."""
    if name is None:
        return {}
    files = [*sorted(_path(name).parent.glob("*.py")), Path(corpus.__file__)]
    return {"recipe": fingerprint([ast.dump(ast.parse(file.read_text(encoding="utf-8"))) for file in files])}


def _path(name: str) -> Path:
    path = RECIPES / name / "prepare.py"
    if not path.is_file():
        known = ", ".join(sorted(p.parent.name for p in RECIPES.glob("*/prepare.py")))
        raise UserError(f"data.recipe is {name}: there is no {path}; there are: {known}")
    return path
