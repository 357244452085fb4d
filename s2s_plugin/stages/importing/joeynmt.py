"""``s2s import-joeynmt RUN``: convert a recurrent model of JoeyNMT (1.x and 2.x) to one of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from s2s_plugin.errors import UserError
from s2s_plugin.models.peers.joeynmt import convert_joeynmt
from s2s_plugin.models.peers.parts import Special
from s2s_plugin.stages.importing.command import LANGUAGE, arguments, import_run
from s2s_plugin.stages.importing.foreign import converting, load_foreign, weights_of
from s2s_plugin.stages.importing.run import LANGUAGES, Foreign
from s2s_plugin.stages.importing.segmentation import Models, named_models
from s2s_plugin.utils.console import note
from s2s_plugin.utils.io import read_lines
from s2s_plugin.utils.untrusted import load_yaml, require_file

CHECKPOINTS = ("best.ckpt", "latest.ckpt")
VOCABULARIES = ("src_vocab.txt", "trg_vocab.txt")


def run(words: Sequence[str]) -> int:
    """Run ``s2s import-joeynmt``."""
    return import_run(arguments("s2s import-joeynmt", "FOLDER", __doc__).parse_args(words), read_joeynmt)


def read_joeynmt(folder: Path) -> Foreign:
    """Return the best model of a folder of JoeyNMT, which has config.yaml and the vocabularies, as ours.

    Raises:
        UserError: it is no such folder, or the model has a part that ours lacks.
    """
    if not (file := folder / "config.yaml").is_file():
        raise UserError(f"{file}: no such config; name a folder that JoeyNMT has trained in")
    config: dict[str, Any] = load_yaml(file)
    path = next((folder / name for name in CHECKPOINTS if (folder / name).is_file()), folder / CHECKPOINTS[0])
    state = load_foreign(path)
    vocabularies = [folder / name for name in VOCABULARIES]
    for vocabulary in vocabularies:
        require_file(vocabulary, "vocabulary")
    with converting(folder, "a recurrent model of JoeyNMT"):
        source, target = ([line for line in read_lines(vocabulary) if line] for vocabulary in vocabularies)
        data = config.get("data") or {}
        model = convert_joeynmt(weights_of(state["model_state"]), config["model"], _special(data), source, target)
        _note_preprocessing(data)
        return Foreign("JoeyNMT", model, _languages(data), _segmentation(folder, data))


def _languages(data: Mapping[str, Any]) -> tuple[str, str]:
    """Return the languages that a config names: in a section for each side (2.x), or by themselves (1.x)."""
    source, target = (str(side.get("lang") if isinstance(side, dict) else side) for side in _sides(data))
    usable = LANGUAGE.fullmatch(source) and LANGUAGE.fullmatch(target) and source != target
    return (source, target) if usable and "None" not in (source, target) else LANGUAGES


def _segmentation(folder: Path, data: Mapping[str, Any]) -> Models | None:
    """Return the SentencePiece models that a config of 2.x names, if they lie in its folder."""
    sides = [side for side in _sides(data) if isinstance(side, dict) and side.get("tokenizer_type") == "sentencepiece"]
    files = [(side.get("tokenizer_cfg") or {}).get("model_file") for side in sides]
    return named_models(folder, *files) if len(files) == 2 else None


def _note_preprocessing(data: Mapping[str, Any]) -> None:
    """Say what must be done to the text of sources, which the run does not do."""
    side = data.get("src")
    settings = {**data, **(side if isinstance(side, dict) else {})}
    tokenizer = settings.get("tokenizer_cfg") or {}
    if settings.get("lowercase"):
        note("its training text was in lower case; so must be what it reads")
    if tokenizer.get("pretokenizer", "none") != "none":
        note(f"its training text was tokenized by {tokenizer['pretokenizer']}; so must be what it reads")
    if settings.get("tokenizer_type") == "subword-nmt":
        note("its training text was split by subword-nmt; so must be what it reads")


def _sides(data: Mapping[str, Any]) -> tuple[Any, Any]:
    return data.get("src"), data.get("trg")


def _special(data: Mapping[str, Any]) -> Special:
    names = data.get("special_symbols") or {}
    defaults = Special()._asdict()
    return Special(**{name: str(names.get(f"{name}_token", default)) for name, default in defaults.items()})
