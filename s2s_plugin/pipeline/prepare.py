"""Stage 1: a corpus to subwords to fairseq's binary format, in a folder named after what made it."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from argparse import Namespace
from collections import Counter
from pathlib import Path

from fairseq.data import Dictionary
from omegaconf import DictConfig, ListConfig, OmegaConf

from s2s_plugin.datasets.codec import EXACT, CodeCodec, PairCodec, TextCodec, copy_symbols, normalize, plain
from s2s_plugin.datasets.escape import NEWLINE, TAB, escape, from_line
from s2s_plugin.datasets.factors import factor_values, split_factors
from s2s_plugin.datasets.manifest import write_manifest
from s2s_plugin.errors import UserError
from s2s_plugin.pipeline import corpus, dialogue, directions, media
from s2s_plugin.pipeline.commands import preprocess_command
from s2s_plugin.pipeline.console import say
from s2s_plugin.pipeline.fetch import once, sha256_of
from s2s_plugin.pipeline.recipe import recipe_stamp, run_recipe
from s2s_plugin.pipeline.run import digest
from s2s_plugin.pipeline.text import read_parallel
from s2s_plugin.progress import Progress

OWN_FILES = (*directions.FILES, "dialogues", "valid_dialogues", "test_dialogues")
SUMMARY = "prepared.json"


def prepared_folder(cfg: DictConfig) -> Path:
    """Where this corpus with these subwords is, or will be: other settings or changed files, another folder.

    Raises:
        UserError: a file cannot be read, or the languages cannot be told apart.
    """
    return preparation(cfg)[0]


def preparation(cfg: DictConfig) -> tuple[Path, DictConfig]:
    """The prepared folder and the config that makes it: that of the other direction, where only its folder is there."""
    own = _folder(cfg)
    back = None if own.is_dir() or media.is_signal(cfg) else directions.turned(cfg)
    if back is not None and _folder(back).is_dir():
        return _folder(back), back
    return own, cfg


def _folder(cfg: DictConfig) -> Path:
    source, target = cfg.data.source_lang, cfg.data.target_lang
    parts = [] if media.is_signal(cfg) else directions.one_by_one(cfg)
    for one, other in [(source, target), *((part.data.source_lang, part.data.target_lang) for part in parts)]:
        if not one or not other or one == other:
            raise UserError(
                f"the languages are '{one}' and '{other}', from the endings of your files' names; "
                "name two different ones: data.source_lang=en data.target_lang=de"
            )
    data = OmegaConf.to_container(cfg.data, resolve=True)
    assert isinstance(data, dict)
    data.pop("on_bad_item")  # with bad lines there is only one way on, without them no difference
    data.pop("several_references", None)
    subword = OmegaConf.to_container(cfg.subword, resolve=True)
    assert isinstance(subword, dict)
    given = subword.pop("from_dir", None)  # runs of earlier versions have none
    if not subword.get("exact"):
        subword.pop("exact", None)
    files = {name: cfg.data[name] for name in OWN_FILES if cfg.data[name] is not None}
    settings = {
        "data": data,
        **recipe_stamp(cfg.data.recipe),
        "subword": subword,
        "files": {
            name: [_stamp(Path(file)) for file in named] if isinstance(named, ListConfig) else _stamp(Path(named))
            for name, named in files.items()
        },
    }
    if media.is_signal(cfg):
        settings["features"] = media.features_folder(cfg).name
    if given is not None:
        settings["vocabulary"] = digest(*_codec_files(Path(given)))
    stamp = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
    return Path(cfg.prepared_dir) / f"{cfg.data.name}.{source}-{target}.{stamp}"


def _stamp(path: Path) -> str:
    """A file's content, in short."""
    try:
        return sha256_of(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the name") from None


def prepare(cfg: DictConfig) -> Path:
    """Make the folder, unless it is there; it appears whole or not at all.

    It holds ``text/`` (the corpus), ``pieces/`` (its subwords), the codec, the dictionaries and fairseq's files.
    """
    out, cfg = preparation(cfg)
    try:
        if media.is_signal(cfg):
            features = media.pack_corpus(cfg)
            once(out, lambda partial: _build_signal(cfg, partial, out, features))
        else:
            once(out, lambda partial: _build(cfg, partial))
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be written ({error.strerror}); set prepared_dir=FOLDER") from None
    summary = read_summary(out)
    counts = " / ".join(f"{summary['pairs'][split]:,}" for split in corpus.SPLITS)
    say(f"      {counts} pairs (train / valid / test), {summary['symbols']} symbols, in {out}")
    return out


def read_summary(folder: Path) -> dict:
    """What is in a prepared folder: ``pairs`` of each split, ``symbols``, ``longest`` source and target in steps."""
    return json.loads((folder / SUMMARY).read_text(encoding="utf-8"))


def _build(cfg: DictConfig, partial: Path) -> None:
    source, target = cfg.data.source_lang, cfg.data.target_lang
    text = _text(cfg, partial)
    lines = {
        split: list(zip(*(_read(text / f"{split}.{lang}") for lang in (source, target)), strict=True))
        for split in corpus.SPLITS
    }
    lines["train"] += _extra_pairs(cfg, lines["valid"] + lines["test"])
    if cfg.subword.factors and directions.tags(cfg):
        raise UserError("subword.factors are of words, and the tags of several directions have none: leave one out")
    codec = _take_codec(cfg, partial, {source, target}) if cfg.subword.from_dir else _train_codec(cfg, partial, lines)
    assert codec.source is not None
    summary = _write_pieces(cfg, partial, lines, codec)
    read = codec.source.dictionary(copy_symbols(codec.copy_slots))
    written = codec.target.dictionary(read.symbols if cfg.subword.joint or codec.copy_slots else [])
    for lang, dictionary in ((source, read), (target, written)):
        _write_dictionary(cfg, partial, lang, dictionary)
    _binarize(cfg, partial)
    sizes = [side.pieces.get_piece_size() for side in (codec.source, codec.target)]
    summary["symbols"] = f"{sizes[0]:,} joint" if cfg.subword.joint else f"{sizes[0]:,} + {sizes[1]:,}"
    (partial / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def _build_signal(cfg: DictConfig, partial: Path, out: Path, features: Path) -> None:
    """The texts of a corpus of media, their subwords, and where the features are."""
    lang, items = cfg.data.target_lang, media.texts(features)
    if cfg.subword.from_dir is None:
        texts = [text for _, text in media.pairs("train", items["train"])]
        codec = _train_side(cfg, partial, "spm", texts, cfg.subword.kind)
        _write_codec(cfg, partial, {lang: "spm.model"})
    else:
        codec = _take_codec(cfg, partial, {lang}).target
    longest, counts = 0, {}
    (partial / "pieces").mkdir()
    for split in corpus.SPLITS:
        write_manifest(partial / f"{split}.tsv", cfg.data.source_lang, items[split])
        pieces = []
        for item, text in media.pairs(split, items[split]):
            pieces.append(codec.encode(text))
            if pieces[-1].count(" ") >= cfg.data.max_symbols:
                raise UserError(
                    f"{split} {item.id}: its text has {pieces[-1].count(' ') + 1:,} symbols, more than "
                    f"data.max_symbols={cfg.data.max_symbols}: '{text[:40]}...'; shorten it"
                )
        longest = max(longest, *(line.count(" ") + 2 for line in pieces))  # and </s>
        _write_lines(partial / "pieces" / f"{split}.{lang}", pieces)
        counts[split] = len(pieces)
    _write_dictionary(cfg, partial, lang, codec.dictionary())
    _binarize(cfg, partial)
    media.write_source(cfg, partial, out, features)
    frames = max(item.frames for split in items.values() for item in split)
    summary = {
        "pairs": counts,
        "longest": {"source": frames, "target": longest},
        "symbols": f"{codec.pieces.get_piece_size():,}",
    }
    (partial / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def _read(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]


# ------------------------------------------------------------------ corpus


def _text(cfg: DictConfig, partial: Path) -> Path:
    """The corpus as text; several directions together."""
    parts = directions.one_by_one(cfg)
    if len(parts) == 1:
        return _corpus(parts[0], partial)
    shared = directions.shared_language(cfg)
    return directions.together(
        cfg, parts, lambda part: _corpus(part, partial / directions.name(part), shared), partial / "text"
    )


def _corpus(cfg: DictConfig, partial: Path, shared: str | None = None) -> Path:
    """The corpus as text, from a recipe or from the user's files.

    Args:
        shared: language by whose sentences alone the user's pairs are held out; None: by both sides.
    """
    text, langs = partial / "text", (cfg.data.source_lang, cfg.data.target_lang)
    if cfg.data.recipe is not None:
        return run_recipe(cfg, text)
    if cfg.data.dialogues is not None:
        return corpus.write_corpus(text, dialogue.own_splits(cfg.data), langs, {"name": cfg.data.name, "source": "own"})
    if cfg.data.source is None or cfg.data.target is None:
        raise UserError("give your files: data=files data.source=FILE data.target=FILE")
    meta = {"name": cfg.data.name, "source": "own files"}
    return corpus.write_corpus(text, _own_splits(cfg, shared), langs, meta, exact=langs if cfg.subword.exact else ())


def _own_splits(cfg: DictConfig, shared: str | None = None) -> corpus.Splits:
    """The user's pairs, with held-out sets taken from the training files where none are given."""
    splits: corpus.Splits = {}
    for split, prefix in (("train", ""), ("valid", "valid_"), ("test", "test_")):
        if pairs := _own_pairs(cfg, prefix):
            splits[split] = pairs
    given = [pair for split in ("valid", "test") for pair in splits.get(split, [])]
    kept = corpus.without_leaks(splits["train"], given, cfg.data.shared_targets)
    if leaks := len(splits["train"]) - len(kept):
        say(f"      {leaks:,} training pairs have a side in your own held-out files: scores on these will flatter")
    missing = [split for split in ("valid", "test") if split not in splits]
    if missing:
        pairs = corpus.dedup(splits["train"])
        share = min(cfg.data.held_out / len(pairs), 0.1)
        if cfg.data.shared_targets:
            parts = dialogue.split_by_question(((dialogue.question_key(pair[0]), pair) for pair in pairs), share, share)
        else:
            held_by = {None: slice(2), cfg.data.source_lang: slice(1), cfg.data.target_lang: slice(1, 2)}[shared]
            parts = corpus.split_by_group((("\t".join(pair[held_by]), pair) for pair in pairs), share, share)
        for split in ("valid", "test"):
            if split not in missing:
                parts["train"] += parts.pop(split)  # the user's own file serves
        splits |= parts
        if not all(splits.values()):
            raise UserError(
                f"{cfg.data.source}: {len(pairs):,} different pairs are too few to hold some out; "
                "give more, or data.valid_source, data.valid_target, data.test_source and data.test_target"
            )
    return splits


def _own_pairs(cfg: DictConfig, prefix: str) -> list[corpus.Pair]:
    """Of the files ``data.<prefix>source`` and ``data.<prefix>target``, if they are given."""
    if cfg.data.on_bad_item not in ("error", "skip"):
        raise UserError(f"data.on_bad_item is {cfg.data.on_bad_item}: give error or skip")
    files = cfg.data[f"{prefix}source"], cfg.data[f"{prefix}target"]
    if None in files:
        if files != (None, None):
            raise UserError(f"data.{prefix}source and data.{prefix}target go together: give both or neither")
        return []
    pairs, skipped = read_parallel(Path(files[0]), Path(files[1]), cfg.data.on_bad_item == "skip")
    if skipped:
        say(f"      {files[0]}: {skipped:,} unusable pairs left out")
    if cfg.subword.exact:
        return pairs
    return corpus.clean_pairs(pairs, plain_quotes=False)


def _extra_pairs(cfg: DictConfig, held_out: list[corpus.Pair]) -> list[corpus.Pair]:
    """Further pairs for training, none of which has a side in a held-out set."""
    several, found = bool(directions.tags(cfg)), []
    if several:
        held_out = [(source.partition(" ")[2], target) for source, target in held_out]
    for part in directions.further(cfg):
        pairs = _own_pairs(part, "extra_")
        kept = corpus.without_leaks(pairs, held_out, cfg.data.shared_targets)
        if pairs:
            left = len(pairs) - len(kept)
            say(f"      {len(kept):,} further pairs to train on; {left:,} left out, held out elsewhere")
        name = directions.name(part) if several else None
        found += [(directions.tagged(source, name), target) for source, target in kept]
    return found


# ---------------------------------------------------------------- subwords


def _train_codec(cfg: DictConfig, folder: Path, lines: dict[str, list[corpus.Pair]]) -> PairCodec:
    """Learn the vocabulary of both sides from the training text and write ``codec.json``."""
    _check_exact(cfg)
    langs = (cfg.data.source_lang, cfg.data.target_lang)
    source, target = map(list, zip(*lines["train"], strict=True))
    names, factors = list(cfg.subword.factors), {}
    if names and cfg.subword.plain_source:
        raise UserError("subword.plain_source drops the marks between subword.factors: set one of them")
    if cfg.subword.plain_source:
        source = [plain(line) for line in source]
    if names:
        source = [normalize(line, cfg.subword.jamo) for line in source]
        factors = factor_values(source, names)
        source = [" ".join(split_factors(line, names)[0]) for line in source]
    kinds = cfg.subword.kind, cfg.subword.target_kind or cfg.subword.kind
    if cfg.subword.joint:
        if kinds[0] != kinds[1]:
            raise UserError(f"subword.target_kind={kinds[1]} is another kind: set subword.joint=false")
        _train_side(cfg, folder, "spm", source + target, kinds[0])
        models = ["spm.model", "spm.model"]
    else:
        models = [f"spm.{lang}.model" for lang in langs]
        for lang, text, kind in zip(langs, (source, target), kinds, strict=True):
            _train_side(cfg, folder, f"spm.{lang}", text, kind)
    _write_codec(cfg, folder, dict(zip(langs, models, strict=True)), {langs[0]: factors})
    return _load_codec(cfg, folder)


def _check_exact(cfg: DictConfig) -> None:
    """
    Raises:
        UserError: text is to be kept as it is, and to be changed.
    """
    subword = cfg.subword
    if subword.exact and (subword.jamo or subword.factors or subword.copy_slots):
        raise UserError("subword.exact keeps every character: leave out subword.jamo, factors and copy_slots")
    if subword.exact and "word" in (subword.kind, subword.target_kind):
        raise UserError("subword.exact needs pieces that may be spaces: set subword.kind to unigram, bpe or char")


def _codec_files(folder: Path) -> list[Path]:
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


def _take_codec(cfg: DictConfig, folder: Path, langs: set[str]) -> PairCodec:
    """Copy the vocabulary of ``subword.from_dir``, which is of these languages, and its ``codec.json``."""
    file, *models = _codec_files(Path(cfg.subword.from_dir))
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


def _write_codec(
    cfg: DictConfig, folder: Path, models: dict[str, str], factors: dict[str, dict[str, list[str]]] | None = None
) -> None:
    """``codec.json``: what :class:`PairCodec` needs to know of each language."""
    codec = {
        lang: {
            "model": model,
            "jamo": cfg.subword.jamo,
            "plain": cfg.subword.plain_source and lang == cfg.data.source_lang,
            "factors": (factors or {}).get(lang, {}),
            "copy_slots": cfg.subword.copy_slots,
            "exact": cfg.subword.exact,
        }
        for lang, model in models.items()
    }
    (folder / PairCodec.FILE).write_text(json.dumps(codec, indent=2) + "\n", encoding="utf-8")


def _train_side(cfg: DictConfig, folder: Path, name: str, lines: list[str], kind: str) -> TextCodec:
    symbols = list(dict.fromkeys([*cfg.subword.symbols, *([] if media.is_signal(cfg) else directions.tags(cfg))]))
    step = len(lines) // 2_000_000 + 1  # enough to learn from, and the same ones everywhere
    exact = EXACT if cfg.subword.exact else {}
    if cfg.subword.exact:
        sentences = [escape(from_line(line)) for line in lines[::step]]
        symbols = [NEWLINE, TAB, *symbols]
    else:
        sentences = [normalize(line, cfg.subword.jamo) for line in lines[::step]]  # an error in a callback has no name
    try:
        try:
            _learn(folder / name, sentences, kind, cfg.subword.size, symbols, exact)
        except RuntimeError as error:
            if "required_chars" not in str(error):
                raise
            sentences = _without_rare(sentences, cfg.subword.size)
            _learn(folder / name, sentences, kind, cfg.subword.size, symbols, exact)
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).rsplit("] ", 1)[-1] or "see subword.kind and subword.size"
        raise UserError(f"SentencePiece could not learn {cfg.subword.size} {kind} symbols: {reason}") from None
    model = folder / f"{name}.model"
    return CodeCodec(model) if cfg.subword.exact else TextCodec(model, cfg.subword.jamo)


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


def _write_pieces(cfg: DictConfig, partial: Path, lines: dict[str, list[corpus.Pair]], codec: PairCodec) -> dict:
    """Write ``pieces/<split>.<lang>``, and leave pairs that are too long out of the pieces and the text.

    Returns:
        the pairs of each split and the longest sides.
    """
    longest, counts = [0, 0], {}
    (partial / "pieces").mkdir()
    for split, pairs in lines.items():
        kept: list[tuple[corpus.Pair, corpus.Pair]] = []
        numbers = []
        for number, pair in enumerate(Progress(pairs, f"      {split}", unit="pair"), start=1):
            pieces = codec.encode(pair[0]), codec.encode_target(pair[1], pair[0])
            lengths = [side.count(" ") + 1 for side in pieces]
            length = max(lengths)
            if length <= cfg.data.max_symbols:
                kept.append((pair, pieces))
                numbers.append(number)
                longest = [max(side + 1, so_far) for side, so_far in zip(lengths, longest, strict=True)]  # and </s>
            elif split != "train" and cfg.data.get(f"{split}_source") is not None:
                raise UserError(
                    f"{cfg.data[f'{split}_source']}, line {number}: {length:,} symbols, more than "
                    f"data.max_symbols={cfg.data.max_symbols}: '{pair[0][:40]}...'; shorten it"
                )
        if len(kept) < len(pairs):
            say(f"      {split}: {len(pairs) - len(kept):,} pairs longer than {cfg.data.max_symbols} symbols left out")
        for side, lang in enumerate((cfg.data.source_lang, cfg.data.target_lang)):
            for folder, which in (("text", 0), ("pieces", 1)):
                _write_lines(partial / folder / f"{split}.{lang}", [item[which][side] for item in kept])
        for beside in (partial / "text" / f"{split}.{ending}" for ending in ("references.tsv", "direction")):
            if beside.is_file():
                texts = _read(beside)
                _write_lines(beside, [texts[number - 1] for number in numbers])
        counts[split] = len(kept)
    if not all(counts.values()):
        raise UserError(f"no pair of at most data.max_symbols={cfg.data.max_symbols} symbols is left in {counts}")
    sides = cfg.data.source_lang, cfg.data.target_lang
    return {
        "pairs": counts,
        "longest": dict(zip(("source", "target"), longest, strict=True)),
        "languages": sides,
    }


def _write_dictionary(cfg: DictConfig, partial: Path, lang: str, dictionary: Dictionary) -> None:
    """Write ``pieces/dict.<lang>.txt``; say how much of the training text a given vocabulary does not know."""
    dictionary.save(str(partial / "pieces" / f"dict.{lang}.txt"))
    if cfg.subword.from_dir is None:
        return
    counts = Counter((partial / "pieces" / f"train.{lang}").read_text(encoding="utf-8").split())
    unknown = Counter({piece: count for piece, count in counts.items() if piece not in dictionary})
    if unknown:
        share, often = 100 * unknown.total() / counts.total(), " ".join(piece for piece, _ in unknown.most_common(8))
        say(f"      {lang}: {share:.2g} % of the symbols are unknown to {cfg.subword.from_dir}: {often}")


def _write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8", newline="\n")


def _binarize(cfg: DictConfig, partial: Path) -> None:
    """Run fairseq-preprocess, as :func:`preprocess_command` says it."""
    from fairseq import options
    from fairseq_cli import preprocess

    arguments = shlex.split(preprocess_command(cfg, partial))[1:]
    args: Namespace = options.get_preprocessing_parser().parse_args(arguments)
    preprocess.main(args)
