"""Stage 1: a corpus to subwords to fairseq's binary format, in a folder named after what made it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
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
from s2s_plugin.pipeline.text import read_parallel

SPLITS = ("train", "valid", "test")
OWN_FILES = ("source", "target", "valid_source", "valid_target", "test_source", "test_target")
SUMMARY = "prepared.json"


def prepared_folder(cfg: DictConfig) -> Path:
    """Where this corpus with these subwords is, or will be: other settings or changed files, another folder."""
    settings = {
        "data": OmegaConf.to_container(cfg.data, resolve=True),
        "subword": OmegaConf.to_container(cfg.subword, resolve=True),
        "files": {name: _stamp(Path(cfg.data[name])) for name in OWN_FILES if cfg.data[name] is not None},
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
    return Path(cfg.prepared_dir) / f"{cfg.data.name}.{cfg.data.source_lang}-{cfg.data.target_lang}.{digest}"


def _stamp(path: Path) -> str:
    """A file's content, in short."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the name") from None


def prepare(cfg: DictConfig) -> Path:
    """Make the folder, unless it is there; it appears whole or not at all.

    It holds ``text/`` (the corpus), ``pieces/`` (its subwords), the codec, the dictionaries and fairseq's files.
    """
    out = prepared_folder(cfg)
    if not (out / SUMMARY).is_file():
        partial = out.with_name(out.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir(parents=True)
        except OSError as error:
            raise UserError(f"{partial}: cannot be written ({error.strerror}); set prepared_dir=FOLDER") from None
        try:
            _build(cfg, partial, out)
        except UserError:
            shutil.rmtree(partial)
            raise
        shutil.rmtree(out, ignore_errors=True)
        partial.rename(out)
    summary = json.loads((out / SUMMARY).read_text(encoding="utf-8"))
    counts = " / ".join(f"{summary['pairs'][split]:,}" for split in SPLITS)
    say(f"      {counts} pairs (train / valid / test), {summary['symbols']} symbols, in {out}")
    return out


def _build(cfg: DictConfig, partial: Path, out: Path) -> None:
    source, target = cfg.data.source_lang, cfg.data.target_lang
    text = _corpus(cfg, partial)
    lines = {
        (split, lang): (text / f"{split}.{lang}").read_text(encoding="utf-8").split("\n")[:-1]
        for split in SPLITS
        for lang in (source, target)
    }
    codec = _train_codec(cfg, partial, lines[("train", source)], lines[("train", target)])
    counts = _write_pieces(cfg, partial, lines, codec)
    for lang, side in ((source, codec.source), (target, codec.target)):
        side.dictionary().save(str(partial / "pieces" / f"dict.{lang}.txt"))
    _binarize(cfg, partial)
    sizes = [codec.source.pieces.get_piece_size(), codec.target.pieces.get_piece_size()]
    summary = {
        "pairs": counts,
        "symbols": f"{sizes[0]:,} joint" if cfg.subword.joint else f"{sizes[0]:,} + {sizes[1]:,}",
        "command": preprocess_command(cfg, out),
    }
    (partial / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


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
    if cfg.subword.joint:
        codec = _train_side(cfg, folder, "spm", source + target)
        sides = {"source": "spm.model", "target": "spm.model"}
        pair = PairCodec(codec, codec)
    else:
        pair = PairCodec(_train_side(cfg, folder, "spm.source", source), _train_side(cfg, folder, "spm.target", target))
        sides = {"source": "spm.source.model", "target": "spm.target.model"}
    description = {side: {"model": model, "jamo": cfg.subword.jamo} for side, model in sides.items()}
    (folder / PairCodec.FILE).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    return pair


def _train_side(cfg: DictConfig, folder: Path, name: str, lines: list[str]) -> TextCodec:
    import sentencepiece

    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([normalize(line, cfg.subword.jamo) for line in lines]),
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
            input_sentence_size=2_000_000,
            shuffle_input_sentence=True,
            minloglevel=2,
        )
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).rsplit("] ", 1)[-1] or "see subword.kind and subword.size"
        raise UserError(
            f"SentencePiece could not learn {cfg.subword.size} {cfg.subword.kind} symbols: {reason}"
        ) from None
    return TextCodec(folder / f"{name}.model", cfg.subword.jamo)


def _write_pieces(cfg: DictConfig, partial: Path, lines: dict, codec: PairCodec) -> dict[str, int]:
    """Write ``pieces/<split>.<lang>``; returns the pairs of each split."""
    folder, longest, counts = partial / "pieces", cfg.data.max_symbols, {}
    folder.mkdir()
    langs = (cfg.data.source_lang, cfg.data.target_lang)
    for split in SPLITS:
        sides = [lines[split, lang] for lang in langs]
        kept: list[tuple[str, str]] = []
        for number, pair in enumerate(
            tqdm(zip(*sides, strict=True), f"      {split}", len(sides[0]), unit="pair", disable=None, leave=False)
        ):
            pieces = codec.source.encode(pair[0]), codec.target.encode(pair[1])
            length = max(piece.count(" ") + 1 for piece in pieces)
            if length <= longest and all(pieces):
                kept.append(pieces)
            elif split != "train":
                raise UserError(
                    f"{split} pair {number + 1} is {length:,} symbols long, more than data.max_symbols={longest}: "
                    f"'{pair[0][:40]}...'; shorten it"
                )
        if len(kept) < len(sides[0]):
            say(f"      {len(sides[0]) - len(kept):,} training pairs longer than {longest} symbols left out")
        for side, lang in enumerate(langs):
            (folder / f"{split}.{lang}").write_text("".join(p[side] + "\n" for p in kept), encoding="utf-8")
        counts[split] = len(kept)
    return counts


def _binarize(cfg: DictConfig, partial: Path) -> None:
    """Run fairseq-preprocess, as :func:`preprocess_command` says it."""
    from fairseq import options
    from fairseq_cli import preprocess

    arguments = preprocess_command(cfg, partial, workers=os.cpu_count() or 1).split()[1:]
    args: Namespace = options.get_preprocessing_parser().parse_args(arguments)
    preprocess.main(args)
