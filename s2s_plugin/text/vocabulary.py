"""The vocabulary of a corpus: trained by SentencePiece on the training text, or copied from other prepared data."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from sentencepiece import SentencePieceTrainer

from s2s_plugin.errors import UserError
from s2s_plugin.text.annotate import NAMES, annotate
from s2s_plugin.text.codec import PairCodec
from s2s_plugin.text.escape import NEWLINE, TAB, escape, unescape
from s2s_plugin.text.factors import factor_values, split_factors
from s2s_plugin.text.literals import Literals
from s2s_plugin.text.normalize import normalize, strip_case_and_punctuation
from s2s_plugin.text.repeats import LOOP, TIMES, fold, unfold
from s2s_plugin.utils.console import say
from s2s_plugin.utils.digests import check_digest
from s2s_plugin.utils.io import read_json, write_json
from s2s_plugin.utils.options import option
from s2s_plugin.utils.progress import Progress

# SentencePiece options of a CodeCodec, whose text is escaped: every space counts, runs of spaces are pieces.
LOSSLESS_OPTIONS: dict[str, Any] = {
    "add_dummy_prefix": False,
    "remove_extra_whitespaces": False,
    "allow_whitespace_only_pieces": True,
    "byte_fallback": True,
    "split_digits": True,
}
MAX_SENTENCES = 2_000_000  # a larger corpus is thinned out evenly


@dataclass
class SubwordConfig:
    """Options of the vocabulary."""

    kind: str = option("unigram", "SentencePiece model type: unigram, bpe, char or word")
    target_kind: Optional[str] = option(None, "model type of the target, if different")
    size: int = option(5000, "maximum number of tokens")
    joint: bool = option(True, "one vocabulary for both sides")
    jamo: bool = option(False, "spell Hangul syllables as letters")
    normalize_source: bool = option(False, "read the source in lower case and without punctuation")
    special_tokens: list[str] = option([], "tokens that are never split, such as language tags: <2de>")
    lossless: bool = option(False, "keep every character: indentation, line breaks, quotes; for programs")
    factors: list[str] = option([], "names of the factors of each source word: word|value|value")
    annotate: list[str] = option([], f"factors of each source word that a tagger makes: {', '.join(NAMES)}")
    target_tags: list[str] = option([], "factors that the output has before each word, as tags that are then removed")
    fold_repeats: bool = option(False, "write repeated words of the target as a loop and its count, for long outputs")
    copy_slots: int = option(0, "source tokens per sentence outside the vocabulary that model.pointer can copy")
    from_dir: Optional[str] = option(None, "copy the vocabulary of this prepared folder instead of training one")


def learn_codec(
    subword: SubwordConfig, folder: Path, sides: Mapping[str, Sequence[str]], extra_tokens: Sequence[str] = ()
) -> PairCodec:
    """Train the SentencePiece models of a corpus, write ``codec.json`` to ``folder``, and return the codec.

    ``sides`` has the training lines by language: of the source and the target, or the target alone. ``extra_tokens``
    are written by the preparation alone; in the text itself they are text.
    """
    _check(subword)
    langs, lines = list(sides), list(sides.values())
    source = langs[0] if len(langs) == 2 else None
    factors: dict[str, list[str]] = {}
    if source and subword.normalize_source:
        lines[0] = [strip_case_and_punctuation(line) for line in lines[0]]
    if source and subword.factors:
        split = [split_factors(normalize(line, subword.jamo), subword.factors) for line in lines[0]]
        factors = factor_values((values for _, row in split for values in row), subword.factors)
        lines[0] = [" ".join(words) for words, _ in split]
    if subword.fold_repeats:
        lines[-1] = [_foldable(normalize(line, subword.jamo)) for line in lines[-1]]
    if subword.joint or not source:
        _train(subword, folder / "spm", [line for side in lines for line in side], subword.kind, extra_tokens)
        models = ["spm.model"] * len(langs)
    else:
        models = [f"spm.{lang}.model" for lang in langs]
        for lang, side, kind in zip(langs, lines, (subword.kind, subword.target_kind or subword.kind), strict=True):
            _train(subword, folder / f"spm.{lang}", side, kind, extra_tokens)
    common: dict[str, Any] = {"jamo": subword.jamo, "copy_slots": subword.copy_slots, "lossless": subword.lossless}
    if tags := [token for token in extra_tokens if token not in subword.special_tokens]:
        common["tags"] = tags
    codecs = {lang: {"model": model, **common} for lang, model in zip(langs, models, strict=True)}
    codecs[langs[-1]] |= {"fold": True} if subword.fold_repeats else {}
    if source:
        codecs[source] |= {"strip": subword.normalize_source, "factors": factors}
        if subword.annotate:
            codecs[source] |= _annotated(lines[0], subword.annotate, source)
    if subword.target_tags:
        codecs[langs[-1]] |= {**_annotated(lines[-1], subword.target_tags, langs[-1]), "interleaved": True}
    write_json(folder / PairCodec.FILE, codecs)
    return _load(folder, langs)


def _annotated(lines: Sequence[str], names: Sequence[str], language: str) -> dict[str, Any]:
    """Return what ``codec.json`` says of factors that a tagger makes."""
    key = tuple(names)
    bar = Progress(lines, f"      tagging {language}", unit="line")
    words = (values for line in bar for values in annotate(normalize(line), key, language))
    return {"factors": factor_values(words, names), "annotate": language}


def _check(subword: SubwordConfig) -> None:
    if subword.factors and subword.annotate:
        raise UserError("subword.factors and subword.annotate are mutually exclusive")
    if (subword.factors or subword.annotate) and subword.normalize_source:
        raise UserError("subword.normalize_source and factors are mutually exclusive")
    if subword.joint and (subword.target_kind or subword.kind) != subword.kind:
        raise UserError(f"subword.target_kind={subword.target_kind} requires subword.joint=false")
    if subword.fold_repeats and subword.target_tags:
        raise UserError("subword.fold_repeats and subword.target_tags are mutually exclusive")
    lossy = subword.jamo, subword.factors, subword.annotate, subword.target_tags, subword.fold_repeats
    if subword.lossless and (any(lossy) or subword.copy_slots or subword.normalize_source):
        names = "jamo, factors, annotate, target_tags, fold_repeats, copy_slots and normalize_source"
        raise UserError(f"subword.lossless and subword.{names} are mutually exclusive")
    if subword.lossless and "word" in (subword.kind, subword.target_kind):
        raise UserError("subword.lossless requires subword.kind=unigram, bpe or char, got word")


def _foldable(line: str) -> str:
    """Fold a line.

    Raises:
        UserError: it has words like the marks of a loop.
    """
    if (folded := fold(line)) and unfold(folded) != line:
        raise UserError(
            f"subword.fold_repeats requires targets without words such as {LOOP}2 and {TIMES}2, got {line[:60]}"
        )
    return folded


def copy_codec(from_dir: Path, folder: Path, langs: Sequence[str]) -> PairCodec:
    """Copy the vocabulary of another prepared folder, and return the codec.

    ``langs``: languages of the text sides: source and target, or the target alone.
    """
    files = codec_files(from_dir)
    sides = read_json(files[0], PairCodec.SHAPE)
    if sides.keys() != set(langs):
        raise UserError(f"{files[0]}: the languages must be {', '.join(sorted(langs))}, got {', '.join(sides)}")
    for path in files:
        shutil.copy(path, folder)
    return _load(folder, langs)


def codec_files(folder: Path) -> list[Path]:
    """List ``codec.json`` of a prepared folder, and the SentencePiece models and dictionaries that it names."""
    file = folder / PairCodec.FILE
    if (sides := read_json(file, PairCodec.SHAPE)) is None:
        raise UserError(f"{file}: no such file; prepare the data of this vocabulary again")
    names = {side[key] for side in sides.values() for key in ("model", "vocabulary") if key in side}
    files = [file, *(folder / name for name in sorted(names))]
    for path in files:
        if not path.is_file():
            raise UserError(f"{path}: no such file, required by {file}; prepare that data again")
        check_digest(path)
    return files


def _load(folder: Path, langs: Sequence[str]) -> PairCodec:
    codec = PairCodec.load(folder, langs[0], langs[-1])
    assert codec is not None
    return codec


def _train(subword: SubwordConfig, prefix: Path, lines: Sequence[str], kind: str, tags: Sequence[str]) -> None:
    """Write ``<prefix>.model``, with fewer characters if the vocabulary cannot hold all of them."""
    lines = lines[:: len(lines) // MAX_SENTENCES + 1]
    tokens = [*subword.special_tokens, *tags]
    hide = Literals([tag for tag in tags if tag not in subword.special_tokens]).hide
    if subword.lossless:
        sentences = [hide(escape(unescape(line))) for line in lines]
        tokens = [NEWLINE, TAB, *tokens]
    else:  # before training: SentencePiece hides the cause of an error in its iterator
        sentences = [hide(normalize(line, subword.jamo)) for line in lines]
    options: dict[str, Any] = dict(
        model_prefix=str(prefix), model_type=kind, vocab_size=subword.size, hard_vocab_limit=False,
        character_coverage=1.0, user_defined_symbols=list(dict.fromkeys(tokens)), max_sentence_length=1_000_000,
        normalization_rule_name="identity",  # TextCodec normalizes
        bos_id=0, pad_id=1, eos_id=2, unk_id=3,  # the ids of fairseq's dictionary
        minloglevel=2, **(LOSSLESS_OPTIONS if subword.lossless else {}),
    )  # fmt: skip
    try:
        try:
            SentencePieceTrainer.train(sentence_iterator=iter(sentences), **options)
        except RuntimeError as error:
            if "required_chars" not in str(error):
                raise
            sentences = _without_rare_characters(sentences, subword.size)
            SentencePieceTrainer.train(sentence_iterator=iter(sentences), **options)
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).rsplit("] ", 1)[-1] or "see subword.kind and subword.size"
        if "required_chars" in reason:  # its advice is about options that there are not here
            reason = "fewer than its characters and special tokens; raise subword.size"
        raise UserError(f"SentencePiece could not learn {subword.size} {kind} tokens: {reason}") from None


def _without_rare_characters(sentences: Sequence[str], size: int) -> list[str]:
    """Remove the characters that do not fit into a vocabulary of this size together with some subwords."""
    counts = Counter(character for sentence in sentences for character in sentence)
    kept = {character for character, _ in counts.most_common(3 * size // 4)}
    if len(kept) < len(counts):
        say(
            f"      {len(counts):,} different characters do not fit into {size:,} tokens: the rarest "
            f"{len(counts) - len(kept):,} will be unknown; raise subword.size"
        )
    return ["".join(character if character in kept else " " for character in sentence) for sentence in sentences]
