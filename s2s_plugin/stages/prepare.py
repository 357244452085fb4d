"""Stage 1: a corpus to subwords to fairseq's binary format, in a folder named after what made it."""

from __future__ import annotations

import hashlib
import json
import shlex
from argparse import Namespace
from collections import Counter
from pathlib import Path

from fairseq.data import Dictionary
from omegaconf import DictConfig, ListConfig, OmegaConf

from s2s_plugin.corpora import directions, media
from s2s_plugin.corpora.cleaning import Pair
from s2s_plugin.corpora.parallel import extra_pairs, own_splits
from s2s_plugin.corpora.recipe import recipe_stamp, run_recipe
from s2s_plugin.corpora.splits import SPLITS
from s2s_plugin.corpora.writing import write_corpus
from s2s_plugin.datasets.manifest import write_manifest
from s2s_plugin.errors import UserError
from s2s_plugin.stages.commands import preprocess_command
from s2s_plugin.text.codec import PairCodec, copy_tokens
from s2s_plugin.text.retrieval import RETRIEVED, Retrieval
from s2s_plugin.text.vocabulary import codec_files, copy_codec, learn_codec
from s2s_plugin.utils.console import say
from s2s_plugin.utils.io import build_folder, file_sha256, fingerprint, read_lines
from s2s_plugin.utils.progress import Progress

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
    back = None if own.is_dir() or media.is_signal(cfg) else directions.reverse(cfg)
    if back is not None and _folder(back).is_dir():
        return _folder(back), back
    return own, cfg


def _folder(cfg: DictConfig) -> Path:
    source, target = cfg.data.source_lang, cfg.data.target_lang
    parts = [] if media.is_signal(cfg) else directions.split_directions(cfg)
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
    if not data["retrieval"]:
        data.pop("retrieval")
    subword = OmegaConf.to_container(cfg.subword, resolve=True)
    assert isinstance(subword, dict)
    given = subword.pop("from_dir", None)  # runs of earlier versions have none
    if not subword.get("lossless"):
        subword.pop("lossless", None)
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
        settings["vocabulary"] = fingerprint(*codec_files(Path(given)))
    stamp = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
    return Path(cfg.prepared_dir) / f"{cfg.data.name}.{source}-{target}.{stamp}"


def _stamp(path: Path) -> str:
    """A file's content, in short."""
    try:
        return file_sha256(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the name") from None


def prepare(cfg: DictConfig) -> Path:
    """Make the folder, unless it is there; it appears whole or not at all.

    It holds ``text/`` (the corpus), ``pieces/`` (its subwords), the codec, the dictionaries and fairseq's files.
    """
    out, cfg = preparation(cfg)
    _check_parts(cfg)
    try:
        if media.is_signal(cfg):
            features = media.pack_corpus(cfg)
            build_folder(out, lambda partial: _build_signal(cfg, partial, out, features))
        else:
            build_folder(out, lambda partial: _build(cfg, partial))
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be written ({error.strerror}); set prepared_dir=FOLDER") from None
    summary = read_summary(out)
    counts = " / ".join(f"{summary['pairs'][split]:,}" for split in SPLITS)
    say(f"      {counts} pairs (train / valid / test), {summary['symbols']} symbols, in {out}")
    return out


def read_summary(folder: Path) -> dict:
    """What is in a prepared folder: ``pairs`` of each split, ``symbols``, ``longest`` source and target in steps."""
    return json.loads((folder / SUMMARY).read_text(encoding="utf-8"))


def _build(cfg: DictConfig, partial: Path) -> None:
    source, target = cfg.data.source_lang, cfg.data.target_lang
    text = _text(cfg, partial)
    lines = {
        split: list(zip(*(read_lines(text / f"{split}.{lang}") for lang in (source, target)), strict=True))
        for split in SPLITS
    }
    lines["train"] += extra_pairs(cfg, lines["valid"] + lines["test"])
    if cfg.subword.from_dir is None:
        tokens = [*directions.tags(cfg), *([RETRIEVED] if cfg.data.retrieval else [])]
        sides = dict(zip((source, target), map(list, zip(*lines["train"], strict=True)), strict=True))
        codec = learn_codec(cfg.subword, partial, sides, tokens)
    else:
        codec = copy_codec(Path(cfg.subword.from_dir), partial, (source, target))
    assert codec.source is not None
    if cfg.data.retrieval:
        codec.retrieval = _retrieval(cfg, codec, lines["train"])
        codec.retrieval.save(partial, source, target)
    summary = _write_pieces(cfg, partial, lines, codec)
    read = codec.source.dictionary(copy_tokens(codec.copy_slots))
    written = codec.target.dictionary(read.symbols if cfg.subword.joint or codec.copy_slots else [])
    for lang, dictionary in ((source, read), (target, written)):
        _write_dictionary(cfg, partial, lang, dictionary)
    _binarize(cfg, partial)
    sizes = [side.pieces.get_piece_size() for side in (codec.source, codec.target)]
    summary["symbols"] = f"{sizes[0]:,} joint" if cfg.subword.joint else f"{sizes[0]:,} + {sizes[1]:,}"
    (partial / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def _check_parts(cfg: DictConfig) -> None:
    """
    Raises:
        UserError: what a source consists of does not go together.
    """
    if media.is_signal(cfg):
        if cfg.data.retrieval:
            raise UserError(
                f"data.retrieval finds similar texts, and sources are of {cfg.data.source_lang}: leave it out"
            )
        return
    if cfg.subword.factors and directions.tags(cfg):
        raise UserError("subword.factors are of words, and the tags of several directions have none: leave one out")
    if not cfg.data.retrieval:
        return
    if cfg.subword.factors:
        raise UserError("subword.factors are of sources, and what data.retrieval brings has none: leave one out")
    if directions.tags(cfg):
        raise UserError("data.retrieval is for one direction of translation: leave it out, or the other languages")
    if not cfg.subword.joint:
        raise UserError("with data.retrieval sources hold targets: set subword.joint=true")


def _retrieval(cfg: DictConfig, codec: PairCodec, pairs: list[Pair]) -> Retrieval:
    """
    Raises:
        UserError: the vocabulary of another model has no symbol for it.
    """
    assert codec.source is not None
    if RETRIEVED not in codec.source.dictionary():
        raise UserError(f"{cfg.subword.from_dir} was prepared without data.retrieval: leave it out")
    return Retrieval(pairs)


def _build_signal(cfg: DictConfig, partial: Path, out: Path, features: Path) -> None:
    """The texts of a corpus of media, their subwords, and where the features are."""
    lang, items = cfg.data.target_lang, media.texts(features)
    if cfg.subword.from_dir is None:
        texts = [text for _, text in media.pairs("train", items["train"])]
        codec = learn_codec(cfg.subword, partial, {lang: texts}).target
    else:
        codec = copy_codec(Path(cfg.subword.from_dir), partial, [lang]).target
    longest, counts = 0, {}
    (partial / "pieces").mkdir()
    for split in SPLITS:
        write_manifest(partial / f"{split}.tsv", cfg.data.source_lang, items[split])
        pieces = []
        for item, text in media.pairs(split, items[split]):
            pieces.append(codec.encode(text))
            if pieces[-1].count(" ") >= cfg.data.max_length:
                raise UserError(
                    f"{split} {item.id}: its text has {pieces[-1].count(' ') + 1:,} symbols, more than "
                    f"data.max_length={cfg.data.max_length}: '{text[:40]}...'; shorten it"
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


# ------------------------------------------------------------------ corpus


def _text(cfg: DictConfig, partial: Path) -> Path:
    """The corpus as text; several directions together."""
    parts = directions.split_directions(cfg)
    if len(parts) == 1:
        return _corpus(parts[0], partial)
    shared = directions.shared_language(cfg)
    return directions.merge(
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
    if cfg.data.dialogues is None and None in (cfg.data.source, cfg.data.target):
        raise UserError("give your files: data=files data.source=FILE data.target=FILE")
    meta = {"name": cfg.data.name, "source": "own files"}
    return write_corpus(text, own_splits(cfg, shared), langs, meta, exact=langs if cfg.subword.lossless else ())


# ---------------------------------------------------------------- fairseq's files


def _write_pieces(cfg: DictConfig, partial: Path, lines: dict[str, list[Pair]], codec: PairCodec) -> dict:
    """Write ``pieces/<split>.<lang>``, and leave pairs that are too long out of the pieces and the text.

    Returns:
        the pairs of each split and the longest sides.
    """
    longest, counts = [0, 0], {}
    (partial / "pieces").mkdir()
    for split, pairs in lines.items():
        kept: list[tuple[Pair, Pair]] = []
        numbers = []
        for number, pair in enumerate(Progress(pairs, f"      {split}", unit="pair"), start=1):
            pieces = codec.encode(pair[0], pair[1] if split == "train" else None), codec.encode_target(pair[1], pair[0])
            lengths = [side.count(" ") + 1 for side in pieces]
            length = max(lengths)
            if length <= cfg.data.max_length:
                kept.append((pair, pieces))
                numbers.append(number)
                longest = [max(side + 1, so_far) for side, so_far in zip(lengths, longest, strict=True)]  # and </s>
            elif split != "train" and cfg.data.get(f"{split}_source") is not None:
                raise UserError(
                    f"{cfg.data[f'{split}_source']}, line {number}: {length:,} symbols, more than "
                    f"data.max_length={cfg.data.max_length}: '{pair[0][:40]}...'; shorten it"
                )
        if len(kept) < len(pairs):
            say(f"      {split}: {len(pairs) - len(kept):,} pairs longer than {cfg.data.max_length} symbols left out")
        for side, lang in enumerate((cfg.data.source_lang, cfg.data.target_lang)):
            for folder, which in (("text", 0), ("pieces", 1)):
                _write_lines(partial / folder / f"{split}.{lang}", [item[which][side] for item in kept])
        for beside in (partial / "text" / f"{split}.{ending}" for ending in ("references.tsv", "direction")):
            if beside.is_file():
                texts = read_lines(beside)
                _write_lines(beside, [texts[number - 1] for number in numbers])
        counts[split] = len(kept)
    if not all(counts.values()):
        raise UserError(f"no pair of at most data.max_length={cfg.data.max_length} symbols is left in {counts}")
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
