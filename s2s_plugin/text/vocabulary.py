"""The vocabulary of a corpus: learnt by SentencePiece from the training text, or taken from other prepared data."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

from omegaconf import DictConfig

from s2s_plugin.corpora import directions, media
from s2s_plugin.corpora.splits import Pair
from s2s_plugin.errors import UserError
from s2s_plugin.text.codec import LOSSLESS_OPTIONS, CodeCodec, PairCodec, TextCodec, normalize, plain
from s2s_plugin.text.escape import NEWLINE, TAB, escape, from_line
from s2s_plugin.text.factors import factor_values, split_factors
from s2s_plugin.text.retrieval import RETRIEVED
from s2s_plugin.utils.console import say


def learn_codec(cfg: DictConfig, folder: Path, lines: dict[str, list[Pair]]) -> PairCodec:
    """Learn the vocabulary of both sides from the training text and write ``codec.json``."""
    _check_lossless(cfg)
    langs = (cfg.data.source_lang, cfg.data.target_lang)
    source, target = map(list, zip(*lines["train"], strict=True))
    names, factors = list(cfg.subword.factors), {}
    if names and cfg.subword.normalize_source:
        raise UserError("subword.normalize_source drops the marks between subword.factors: set one of them")
    if cfg.subword.normalize_source:
        source = [plain(line) for line in source]
    if names:
        source = [normalize(line, cfg.subword.jamo) for line in source]
        factors = factor_values(source, names)
        source = [" ".join(split_factors(line, names)[0]) for line in source]
    kinds = cfg.subword.kind, cfg.subword.target_kind or cfg.subword.kind
    if cfg.subword.joint:
        if kinds[0] != kinds[1]:
            raise UserError(f"subword.target_kind={kinds[1]} is another kind: set subword.joint=false")
        learn_side(cfg, folder, "spm", source + target, kinds[0])
        models = ["spm.model", "spm.model"]
    else:
        models = [f"spm.{lang}.model" for lang in langs]
        for lang, text, kind in zip(langs, (source, target), kinds, strict=True):
            learn_side(cfg, folder, f"spm.{lang}", text, kind)
    write_codec(cfg, folder, dict(zip(langs, models, strict=True)), {langs[0]: factors})
    return _load_codec(cfg, folder)


def _check_lossless(cfg: DictConfig) -> None:
    """
    Raises:
        UserError: text is to be kept as it is, and to be changed.
    """
    subword = cfg.subword
    if subword.lossless and (subword.jamo or subword.factors or subword.copy_slots or subword.normalize_source):
        raise UserError(
            "subword.lossless keeps every character: leave out subword.jamo, factors, copy_slots and normalize_source"
        )
    if subword.lossless and "word" in (subword.kind, subword.target_kind):
        raise UserError("subword.lossless needs pieces that may be spaces: set subword.kind to unigram, bpe or char")


def codec_files(folder: Path) -> list[Path]:
    """``codec.json`` of a prepared folder, and the SentencePiece models that it names.

    Raises:
        UserError: a file is missing.
    """
    file = folder / PairCodec.FILE
    try:
        models = sorted({side["model"] for side in json.loads(file.read_text(encoding="utf-8")).values()})
    except OSError:
        raise UserError(f"{file}: no such file, whose vocabulary was to be used; prepare that data again") from None
    files = [file, *(folder / model for model in models)]
    if missing := [path for path in files if not path.is_file()]:
        raise UserError(f"{missing[0]}: no such file, but {file} names it; prepare that data again")
    return files


def take_codec(cfg: DictConfig, folder: Path, langs: set[str]) -> PairCodec:
    """Copy the vocabulary of ``subword.from_dir``, which is of these languages, and its ``codec.json``."""
    file, *models = codec_files(Path(cfg.subword.from_dir))
    sides = json.loads(file.read_text(encoding="utf-8"))
    if sides.keys() != langs:
        raise UserError(f"{file}: is of the languages {', '.join(sides)}, the data of {', '.join(sorted(langs))}")
    for path in (file, *models):
        shutil.copy(path, folder)
    return _load_codec(cfg, folder)


def _load_codec(cfg: DictConfig, folder: Path) -> PairCodec:
    codec = PairCodec.load(folder, cfg.data.source_lang, cfg.data.target_lang)
    assert codec is not None
    return codec


def write_codec(
    cfg: DictConfig, folder: Path, models: dict[str, str], factors: dict[str, dict[str, list[str]]] | None = None
) -> None:
    """``codec.json``: what :class:`PairCodec` needs to know of each language."""
    codec = {
        lang: {
            "model": model,
            "jamo": cfg.subword.jamo,
            "plain": cfg.subword.normalize_source and lang == cfg.data.source_lang,
            "factors": (factors or {}).get(lang, {}),
            "copy_slots": cfg.subword.copy_slots,
            "lossless": cfg.subword.lossless,
        }
        for lang, model in models.items()
    }
    (folder / PairCodec.FILE).write_text(json.dumps(codec, indent=2) + "\n", encoding="utf-8")


def learn_side(cfg: DictConfig, folder: Path, name: str, lines: list[str], kind: str) -> TextCodec:
    """Learn the symbols of these lines, write ``<name>.model``, and give the codec that uses it.

    Raises:
        UserError: SentencePiece cannot learn so many symbols of this kind.
    """
    own = [] if media.is_signal(cfg) else [*directions.tags(cfg), *([RETRIEVED] if cfg.data.retrieval else [])]
    symbols = list(dict.fromkeys([*cfg.subword.symbols, *own]))
    step = len(lines) // 2_000_000 + 1  # enough to learn from, and the same ones everywhere
    lossless = LOSSLESS_OPTIONS if cfg.subword.lossless else {}
    if cfg.subword.lossless:
        sentences = [escape(from_line(line)) for line in lines[::step]]
        symbols = [NEWLINE, TAB, *symbols]
    else:
        sentences = [normalize(line, cfg.subword.jamo) for line in lines[::step]]  # an error in a callback has no name
    try:
        try:
            _learn(folder / name, sentences, kind, cfg.subword.size, symbols, lossless)
        except RuntimeError as error:
            if "required_chars" not in str(error):
                raise
            sentences = _without_rare(sentences, cfg.subword.size)
            _learn(folder / name, sentences, kind, cfg.subword.size, symbols, lossless)
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).rsplit("] ", 1)[-1] or "see subword.kind and subword.size"
        raise UserError(f"SentencePiece could not learn {cfg.subword.size} {kind} symbols: {reason}") from None
    model = folder / f"{name}.model"
    return CodeCodec(model) if cfg.subword.lossless else TextCodec(model, cfg.subword.jamo)


def _learn(prefix: Path, sentences: list[str], kind: str, size: int, symbols: list[str], more: dict) -> None:
    """Write ``<prefix>.model``, learnt by SentencePiece; ``more`` are options of its own."""
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_prefix=str(prefix),
        model_type=kind,
        vocab_size=size,
        hard_vocab_limit=False,
        character_coverage=1.0,
        user_defined_symbols=symbols,
        normalization_rule_name="identity",  # TextCodec has normalised
        bos_id=0,  # the ids of fairseq's dictionary
        pad_id=1,
        eos_id=2,
        unk_id=3,
        max_sentence_length=1_000_000,
        minloglevel=2,
        **more,
    )


def _without_rare(sentences: list[str], size: int) -> list[str]:
    """The sentences without the characters that a vocabulary of this size has no room for, beside some subwords."""
    counts = Counter(character for sentence in sentences for character in sentence)
    kept = {character for character, _ in counts.most_common(3 * size // 4)}
    say(
        f"      {len(counts):,} different characters are too many for {size:,} symbols: the rarest "
        f"{len(counts) - len(kept):,} will be unknown; raise subword.size"
    )
    return ["".join(character if character in kept else " " for character in sentence) for sentence in sentences]
