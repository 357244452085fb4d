"""How an imported model splits text: the SentencePiece models of its two sides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fairseq.data import Dictionary

from s2s_plugin.errors import UserError
from s2s_plugin.text.codec import PairCodec, TextCodec
from s2s_plugin.utils.console import note
from s2s_plugin.utils.io import write_bytes, write_json

MIN_KNOWN = 0.5  # share of a vocabulary that must be pieces of the model for it

Models = tuple[Path, Path]  # of the source and the target


def named_models(folder: Path, source: object, target: object) -> Models | None:
    """Return the models that a peer's files name, if both lie in the folder, wherever they were in training."""
    paths = [folder / Path(str(name)).name for name in (source, target)]
    if missing := [path for path in paths if not path.is_file()]:
        note(f"{missing[0]}: no such file, which its options name as a SentencePiece model")
        return None
    return paths[0], paths[1]


def write_codec(data: Path, models: Models, vocabularies: Mapping[str, Dictionary]) -> None:
    """Write ``codec.json`` and the models that it names; it also names the dictionaries, which are there.

    Args:
        data: folder to write to.
        models: SentencePiece models.
        vocabularies: of source and target, by language.

    Raises:
        UserError: a model cannot be read, or is not that of its vocabulary.
    """
    contents = []
    for path, vocabulary in zip(models, vocabularies.values(), strict=True):
        if not path.is_file():
            raise UserError(f"{path}: no such SentencePiece model; check the name")
        _check_fits(path, vocabulary)
        contents.append(path.read_bytes())
    names = ["spm.model"] * 2 if contents[0] == contents[1] else [f"spm.{language}.model" for language in vocabularies]
    for name, content in zip(names, contents, strict=True):
        write_bytes(data / name, content)
    sides = {
        language: {"model": name, "vocabulary": f"dict.{language}.txt"}
        for language, name in zip(vocabularies, names, strict=True)
    }
    write_json(data / PairCodec.FILE, sides)


def _check_fits(path: Path, vocabulary: Dictionary) -> None:
    try:
        pieces = set(TextCodec(path).dictionary().symbols)
    except UserError:
        codes = "; codes of subword-nmt must be applied to the input, which is then tokens" if _is_text(path) else ""
        raise UserError(f"{path}: not a SentencePiece model{codes}") from None
    tokens = vocabulary.symbols[vocabulary.nspecial :]
    known = len(pieces.intersection(tokens))
    if known < MIN_KNOWN * len(tokens):
        raise UserError(
            f"{path}: not the model of this vocabulary: {known:,} of its {len(tokens):,} tokens are pieces; "
            "name another file"
        )


def _is_text(path: Path) -> bool:
    try:
        return "\0" not in path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
