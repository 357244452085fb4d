"""Recipes: the function ``prepare`` of ``data/<name>/prepare.py`` makes a corpus from a public source.

Its keyword parameters are the recipe's options, ``--lowercase`` or ``data.options.lowercase=true``.
"""

from __future__ import annotations

import argparse
import ast
import functools
import importlib.util
import inspect
import json
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig

from s2s_plugin.corpora import cleaning, dialogues, splits
from s2s_plugin.corpora.writing import MANIFEST, write_corpus, write_manifests
from s2s_plugin.datasets.manifest import MODALITIES
from s2s_plugin.errors import UserError
from s2s_plugin.utils.compression import open_binary
from s2s_plugin.utils.io import fingerprint
from s2s_plugin.utils.paths import RECIPES, default_cache

REGISTERED: dict[str, Recipe] = {}  # those outside data/


class Request(NamedTuple):
    """What a recipe is to make."""

    src: str  # the source language, or audio, video or image
    tgt: str  # the target language
    cache: Path  # folder for downloads
    from_dir: Path | None  # the user's copy of the raw data; None to download it


@dataclass
class Corpus:
    """What a recipe makes; ``references`` are those of :func:`write_corpus`."""

    splits: Mapping[str, Sequence]  # pairs of text, or media items
    about: dict[str, Any] = field(default_factory=dict)  # entries of the manifest that differ from the recipe's own
    references: Mapping[str, Sequence[Sequence[str]]] | None = None


@dataclass(frozen=True)
class Recipe:
    """A function that makes a corpus, with what is common to all: checks, the manifest, the command line."""

    build: Callable[..., Corpus]  # from a :class:`Request` and the options, its keyword parameters
    directions: Sequence[tuple[str, str]]  # source and target; the first is the default
    source: str  # public home of the data
    license: str
    version: str = ""  # of the data where it is downloaded
    exhaustive: bool = True  # whether there are no other directions; if not, ``build`` checks them
    help: Mapping[str, str] = field(default_factory=dict)  # of each option except ``valid`` and ``test``
    choices: Mapping[str, Collection[str]] = field(default_factory=dict)  # permitted values of an option
    fraction_of: str = ""  # what the options ``valid`` and ``test`` are fractions of
    registered: str = ""  # name of one outside data/

    @property
    def file(self) -> Path:
        """The module of the recipe."""
        return Path(inspect.getfile(self.build)).resolve()

    @property
    def name(self) -> str:
        """The name that it is registered under, or its folder."""
        return self.registered or self.file.parent.name

    @property
    def options(self) -> dict[str, Any]:
        """The recipe's own options and their defaults."""
        return {key: value.default for key, value in list(inspect.signature(self.build).parameters.items())[1:]}

    def __call__(
        self, out: Path, src: str, tgt: str, cache: Path, from_dir: Path | None = None, **options: Any
    ) -> Path:
        """Write the corpus to the folder ``out`` and return it."""
        self._check(src, tgt, options)
        options = self.options | options
        corpus = self.build(Request(src, tgt, Path(cache), from_dir and Path(from_dir)), **options)
        about = {
            "name": self.name,
            "source": self.source,
            "version": "from folder" if from_dir else self.version,
            "license": self.license,
            "languages": [src, tgt],
            "options": options,
            **corpus.about,
        }
        if src in MODALITIES:
            return write_manifests(Path(out), src, corpus.splits, about)
        return write_corpus(Path(out), corpus.splits, (src, tgt), about, corpus.references)

    def _check(self, src: str, tgt: str, options: dict[str, Any]) -> None:
        if self.exhaustive and (src, tgt) not in self.directions:
            known = ", ".join(map("-".join, self.directions))
            raise UserError(f"{self.name} supports {known}, got --src {src} --tgt {tgt}")
        if unknown := [key for key in options if key not in self.options]:
            known = ", ".join(self.options) or "none"
            raise UserError(f"{self.name} has no option {unknown[0]}; its options are {known}")
        values = self.options | options
        for key, permitted in self.choices.items():
            if values[key] not in permitted:
                raise UserError(f"{key} must be one of {', '.join(permitted)}, got {values[key]!r}")
        if "valid" in values:
            splits.check_fractions(values["valid"], values["test"])

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Run the recipe from the command line; return 2 after a one-line error message for a user's mistake."""
        try:
            out = self(**vars(self._parser().parse_args(argv)))
        except UserError as problem:
            print(f"error: {problem}", file=sys.stderr)
            return 2
        for name, entry in json.loads((out / MANIFEST).read_text(encoding="utf-8"))["files"].items():
            unit = "items" if "items" in entry else "lines"
            print(f"{out / name}: {entry[unit]:,} {unit}")
        return 0

    def _parser(self) -> argparse.ArgumentParser:
        parser = argparse.ArgumentParser(
            description=self.build.__globals__["__doc__"], formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        src, tgt = self.directions[0]
        parser.add_argument("--out", type=Path, required=True, help="folder for the corpus")
        parser.add_argument("--src", default=src, help="source language")
        parser.add_argument("--tgt", default=tgt, help="target language")
        parser.add_argument("--cache", type=Path, default=default_cache(), help="folder for downloads")
        parser.add_argument("--from", dest="from_dir", type=Path, metavar="FOLDER", help="own copy of the raw data")
        for key, default in self.options.items():
            kind: dict[str, Any] = {"type": int if default is None else type(default), "choices": self.choices.get(key)}
            if isinstance(default, bool):
                kind = {"action": argparse.BooleanOptionalAction}
            text = self.help.get(key, f"fraction of {self.fraction_of}")
            parser.add_argument(f"--{key.replace('_', '-')}", default=default, help=text, **kind)
        return parser


def recipe(**declared: Any) -> Callable[[Callable[..., Corpus]], Recipe]:
    """Return a decorator that makes a function a :class:`Recipe` with these attributes."""
    return functools.partial(Recipe, **declared)


def register_recipe(name: str, **declared: Any) -> Callable[[Callable[..., Corpus]], Recipe]:
    """Return a decorator like :func:`recipe` for a function outside ``data/``: ``data.recipe=NAME`` finds it.

    Raises:
        ValueError: the name is taken.
    """

    def register(build: Callable[..., Corpus]) -> Recipe:
        if name in REGISTERED or (RECIPES / name).is_dir():
            raise ValueError(f"cannot register duplicate recipe ({name})")
        REGISTERED[name] = Recipe(build, registered=name, **declared)
        return REGISTERED[name]

    return register


def find_file(folder: Path, names: Sequence[str], hint: str) -> Path:
    """Return the first of ``names`` that is a file in ``folder``; ``hint`` ends the UserError if there is none."""
    for path in (folder / name for name in names):
        if path.is_file():
            return path
    raise UserError(f"no {names[0]} in {folder}: {hint}")


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, which may be compressed; line ends stay as they are."""
    with open_binary(path) as file:
        content = file.read()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start + 1:,} is not UTF-8; download it again, or convert it") from None


def run_recipe(cfg: DictConfig, out: Path) -> Path:
    """Make the corpus that ``cfg.data`` names in the folder ``out``; see :meth:`Recipe.__call__`."""
    data, downloads = cfg.data, Path(cfg.prepared_dir) / "downloads"
    prepare = REGISTERED.get(data.recipe) or load_recipe(data.recipe).prepare
    try:
        return prepare(out, data.source_lang, data.target_lang, downloads, data.from_dir, **data.options)
    except UserError as error:
        raise UserError(str(error).replace("--from FOLDER", "data.from_dir=FOLDER")) from None


def load_recipe(name: str):
    """Return the module ``data/<name>/prepare.py``."""
    spec = importlib.util.spec_from_file_location(f"recipe_{name}", _path(name))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def recipe_stamp(name: str | None) -> dict[str, str]:
    """Return a fingerprint of the code that makes the corpus, without comments: other code may make another corpus."""
    if name is None:
        return {}
    shared = [Path(str(module.__file__)) for module in (cleaning, dialogues, splits)]
    own = [REGISTERED[name].file] if name in REGISTERED else sorted(_path(name).parent.glob("*.py"))
    files = [*own, *shared]
    return {"recipe": fingerprint([ast.dump(ast.parse(file.read_text(encoding="utf-8"))) for file in files])}


def _path(name: str) -> Path:
    path = RECIPES / name / "prepare.py"
    if not path.is_file():
        known = ", ".join(sorted(p.parent.name for p in RECIPES.glob("*/prepare.py")))
        raise UserError(f"data.recipe must be one of {known}, got {name}; common.user_dir=FOLDER registers others")
    return path
