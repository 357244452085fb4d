"""Stage 1: a corpus to subwords to fairseq's binary format, in a folder named after what made it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shlex
from argparse import Namespace
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from s2s_plugin.datasets.codec import PairCodec, TextCodec, normalize
from s2s_plugin.errors import UserError
from s2s_plugin.pipeline import corpus
from s2s_plugin.pipeline.commands import preprocess_command
from s2s_plugin.pipeline.config import PROJECT
from s2s_plugin.pipeline.console import say
from s2s_plugin.pipeline.fetch import once, sha256_of
from s2s_plugin.pipeline.text import read_parallel

SPLITS = ("train", "valid", "test")
OWN_FILES = ("source", "target", "valid_source", "valid_target", "test_source", "test_target")
SUMMARY = "prepared.json"


def prepared_folder(cfg: DictConfig) -> Path:
    """Where this corpus with these subwords is, or will be: other settings or changed files, another folder.

    Raises:
        UserError: a file cannot be read, or the languages cannot be told apart.
    """
    source, target = cfg.data.source_lang, cfg.data.target_lang
    if not source or not target or source == target:
        raise UserError(
            f"the languages are '{source}' and '{target}', from the endings of your files' names; "
            "name two different ones: data.source_lang=en data.target_lang=de"
        )
    data = OmegaConf.to_container(cfg.data, resolve=True)
    assert isinstance(data, dict)
    data.pop("on_bad_line")  # with bad lines there is only one way on, without them no difference
    settings = {
        "data": data,
        "subword": OmegaConf.to_container(cfg.subword, resolve=True),
        "files": {name: _stamp(Path(cfg.data[name])) for name in OWN_FILES if cfg.data[name] is not None},
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
    return Path(cfg.prepared_dir) / f"{cfg.data.name}.{source}-{target}.{digest}"


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
    out = prepared_folder(cfg)
    try:
        once(out, lambda partial: _build(cfg, partial))
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be written ({error.strerror}); set prepared_dir=FOLDER") from None
    summary = read_summary(out)
    counts = " / ".join(f"{summary['pairs'][split]:,}" for split in SPLITS)
    say(f"      {counts} pairs (train / valid / test), {summary['symbols']} symbols, in {out}")
    return out


def read_summary(folder: Path) -> dict:
    """What is in a prepared folder: ``pairs`` of each split, ``symbols``, ``longest`` side in symbols."""
    return json.loads((folder / SUMMARY).read_text(encoding="utf-8"))


def _build(cfg: DictConfig, partial: Path) -> None:
    source, target = cfg.data.source_lang, cfg.data.target_lang
    text = _corpus(cfg, partial)
    lines = {
        split: list(zip(*(_read(text / f"{split}.{lang}") for lang in (source, target)), strict=True))
        for split in SPLITS
    }
    codec = _train_codec(cfg, partial, *map(list, zip(*lines["train"], strict=True)))
    summary = _write_pieces(cfg, partial, lines, codec)
    for lang, side in ((source, codec.source), (target, codec.target)):
        side.dictionary().save(str(partial / "pieces" / f"dict.{lang}.txt"))
    _binarize(cfg, partial)
    sizes = [codec.source.pieces.get_piece_size(), codec.target.pieces.get_piece_size()]
    summary["symbols"] = f"{sizes[0]:,} joint" if cfg.subword.joint else f"{sizes[0]:,} + {sizes[1]:,}"
    (partial / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def _read(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]


# ------------------------------------------------------------------ corpus


def _corpus(cfg: DictConfig, partial: Path) -> Path:
    """The corpus as text, from a recipe or from the user's files."""
    text, langs = partial / "text", (cfg.data.source_lang, cfg.data.target_lang)
    if cfg.data.recipe is not None:
        recipe = load_recipe(cfg.data.recipe)
        options = {str(key): value for key, value in cfg.data.options.items()}
        from_dir = None if cfg.data.from_dir is None else Path(cfg.data.from_dir)
        downloads = Path(cfg.prepared_dir) / "downloads"
        try:
            return recipe.prepare(out=text, src=langs[0], tgt=langs[1], cache=downloads, from_dir=from_dir, **options)
        except TypeError as error:
            if "unexpected keyword" not in str(error):
                raise
            raise UserError(f"data.options: the recipe {cfg.data.recipe} has no such option ({error})") from None
        except UserError as error:
            raise UserError(str(error).replace("--from FOLDER", "data.from_dir=FOLDER")) from None
    if cfg.data.source is None or cfg.data.target is None:
        raise UserError("give your files: data=files data.source=FILE data.target=FILE")
    return corpus.write_corpus(text, _own_splits(cfg), langs, {"name": cfg.data.name, "source": "own files"})


def load_recipe(name: str):
    """The module ``data/<name>/prepare.py``."""
    path = PROJECT / "data" / name / "prepare.py"
    if not path.is_file():
        known = ", ".join(sorted(p.parent.name for p in (PROJECT / "data").glob("*/prepare.py")))
        raise UserError(f"data.recipe is {name}: there is no {path}; there are: {known}")
    spec = importlib.util.spec_from_file_location(f"recipe_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _own_splits(cfg: DictConfig) -> corpus.Splits:
    """The user's pairs, with held-out sets taken from the training files where none are given."""
    skip = cfg.data.on_bad_line == "skip"
    if cfg.data.on_bad_line not in ("error", "skip"):
        raise UserError(f"data.on_bad_line is {cfg.data.on_bad_line}: give error or skip")
    splits: corpus.Splits = {}
    for split, prefix in (("train", ""), ("valid", "valid_"), ("test", "test_")):
        files = cfg.data[f"{prefix}source"], cfg.data[f"{prefix}target"]
        if None in files:
            if files != (None, None):
                raise UserError(f"data.{prefix}source and data.{prefix}target go together: give both or neither")
            continue
        pairs, skipped = read_parallel(Path(files[0]), Path(files[1]), skip)
        splits[split] = corpus.clean_pairs(pairs, plain_quotes=False)
        if skipped:
            say(f"      {files[0]}: {skipped:,} unusable pairs left out")
    missing = [split for split in ("valid", "test") if split not in splits]
    if missing:
        pairs = corpus.dedup(splits["train"])
        share = min(cfg.data.held_out / len(pairs), 0.1)
        parts = corpus.split_by_group(
            ((f"{source}\t{target}", (source, target)) for source, target in pairs), share, share
        )
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


# ---------------------------------------------------------------- subwords


def _train_codec(cfg: DictConfig, folder: Path, source: list[str], target: list[str]) -> PairCodec:
    """Learn the vocabulary from the training text and write ``codec.json``."""
    langs = (cfg.data.source_lang, cfg.data.target_lang)
    if cfg.subword.joint:
        both = _train_side(cfg, folder, "spm", source + target)
        pair, models = PairCodec(both, both), ["spm.model", "spm.model"]
    else:
        sides = [
            _train_side(cfg, folder, f"spm.{lang}", lines) for lang, lines in zip(langs, (source, target), strict=True)
        ]
        pair, models = PairCodec(*sides), [f"spm.{lang}.model" for lang in langs]
    codec = {lang: {"model": model, "jamo": cfg.subword.jamo} for lang, model in zip(langs, models, strict=True)}
    (folder / PairCodec.FILE).write_text(json.dumps(codec, indent=2) + "\n", encoding="utf-8")
    return pair


def _train_side(cfg: DictConfig, folder: Path, name: str, lines: list[str]) -> TextCodec:
    import sentencepiece

    step = len(lines) // 2_000_000 + 1  # enough to learn from, and the same ones everywhere
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(normalize(line, cfg.subword.jamo) for line in lines[::step]),
            model_prefix=str(folder / name),
            model_type=cfg.subword.kind,
            vocab_size=cfg.subword.size,
            hard_vocab_limit=False,
            character_coverage=1.0,
            normalization_rule_name="identity",  # TextCodec has normalised
            bos_id=0,  # the ids of fairseq's dictionary
            pad_id=1,
            eos_id=2,
            unk_id=3,
            max_sentence_length=1_000_000,
            minloglevel=2,
        )
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).rsplit("] ", 1)[-1] or "see subword.kind and subword.size"
        raise UserError(
            f"SentencePiece could not learn {cfg.subword.size} {cfg.subword.kind} symbols: {reason}"
        ) from None
    return TextCodec(folder / f"{name}.model", cfg.subword.jamo)


def _write_pieces(cfg: DictConfig, partial: Path, lines: dict[str, list[corpus.Pair]], codec: PairCodec) -> dict:
    """Write ``pieces/<split>.<lang>``, and leave pairs that are too long out of the pieces and the text.

    Returns:
        the pairs of each split and the longest side.
    """
    longest, counts = 0, {}
    (partial / "pieces").mkdir()
    for split, pairs in lines.items():
        kept: list[tuple[corpus.Pair, corpus.Pair]] = []
        for number, pair in enumerate(tqdm(pairs, f"      {split}", unit="pair", disable=None, leave=False), start=1):
            pieces = codec.source.encode(pair[0]), codec.target.encode(pair[1])
            length = max(side.count(" ") + 1 for side in pieces)
            if length <= cfg.data.max_symbols:
                kept.append((pair, pieces))
                longest = max(longest, length + 1)  # and </s>
            elif split != "train" and cfg.data.get(f"{split}_source") is not None:
                raise UserError(
                    f"{cfg.data[f'{split}_source']}, line {number}: {length:,} symbols, more than "
                    f"data.max_symbols={cfg.data.max_symbols}: '{pair[0][:40]}...'; shorten it"
                )
        if len(kept) < len(pairs):
            say(f"      {split}: {len(pairs) - len(kept):,} pairs longer than {cfg.data.max_symbols} symbols left out")
        for side, lang in enumerate((cfg.data.source_lang, cfg.data.target_lang)):
            for folder, which in (("text", 0), ("pieces", 1)):
                path = partial / folder / f"{split}.{lang}"
                path.write_text("".join(item[which][side] + "\n" for item in kept), encoding="utf-8", newline="\n")
        counts[split] = len(kept)
    if not all(counts.values()):
        raise UserError(f"no pair of at most data.max_symbols={cfg.data.max_symbols} symbols is left in {counts}")
    return {"pairs": counts, "longest": longest}


def _binarize(cfg: DictConfig, partial: Path) -> None:
    """Run fairseq-preprocess, as :func:`preprocess_command` says it."""
    from fairseq import options
    from fairseq_cli import preprocess

    arguments = shlex.split(preprocess_command(cfg, partial))[1:]
    args: Namespace = options.get_preprocessing_parser().parse_args(arguments)
    preprocess.main(args)
