"""Text corpora: from a recipe or the user's files to subwords."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from s2s_plugin.corpora import directions
from s2s_plugin.corpora.cleaning import Pair
from s2s_plugin.corpora.concatenation import concatenated
from s2s_plugin.corpora.parallel import extra_pairs, own_splits, skips_bad
from s2s_plugin.corpora.recipe import run_recipe
from s2s_plugin.corpora.recombining import recombine
from s2s_plugin.corpora.splits import SPLITS
from s2s_plugin.corpora.tally import Tally, name_some
from s2s_plugin.corpora.writing import license_of, write_corpus
from s2s_plugin.errors import UserError
from s2s_plugin.stages.prepare.folder import SUMMARY, binarize, write_dictionary
from s2s_plugin.stages.prepare.lengths import SKIP, longest_up_to, remedies
from s2s_plugin.text.codec import PairCodec, copy_tokens
from s2s_plugin.text.retrieval import RETRIEVED, Retrieval
from s2s_plugin.text.vocabulary import copy_codec, learn_codec
from s2s_plugin.utils.console import note
from s2s_plugin.utils.io import read_lines, write_json, write_lines
from s2s_plugin.utils.progress import Progress

Encoded = dict[int, tuple[Pair, Pair]]  # pairs and their pieces, by line number


def build(cfg: DictConfig, folder: Path) -> None:
    """Fill a prepared folder with ``text/``, ``pieces/``, the codec, the dictionaries and fairseq's files."""
    source, target = cfg.data.source_lang, cfg.data.target_lang
    tally = Tally()
    text = _write_text(cfg, folder, tally)
    lines = {
        split: list(zip(*(read_lines(text / f"{split}.{lang}") for lang in (source, target)), strict=True))
        for split in SPLITS
    }
    lines["train"] += extra_pairs(cfg, lines["valid"] + lines["test"], tally)
    if cfg.data.recombine:
        lines["train"] += (made := recombine(lines["train"], cfg.data.recombine))
        note(f"{len(made):,} training pairs made by recombination")
    if cfg.data.concatenate > 1:
        lines["train"] += (joined := concatenated(lines["train"], cfg.data.concatenate))
        note(f"{len(joined):,} training pairs made by joining others")
    if cfg.subword.from_dir is None:
        tokens = [*directions.tags(cfg), *([RETRIEVED] if cfg.data.retrieval else [])]
        sides = dict(zip((source, target), map(list, zip(*lines["train"], strict=True)), strict=True))
        codec = learn_codec(cfg.subword, folder, sides, tokens)
    else:
        codec = copy_codec(Path(cfg.subword.from_dir), folder, (source, target))
    assert codec.source is not None
    if cfg.data.retrieval:
        if RETRIEVED not in codec.source.dictionary():
            raise UserError(f"{cfg.subword.from_dir} was prepared without data.retrieval: leave it out")
        codec.retrieval = Retrieval(lines["train"])
        codec.retrieval.save(folder, source, target)
    counts, longest = _write_pieces(cfg, folder, lines, codec, tally)
    if cfg.data.recipe is None:
        tally.say(sum(counts.values()))
    copies, tags = copy_tokens(codec.copy_slots), sorted(codec.target.factor_tokens)
    source_dict = codec.source.dictionary([*copies, *(tags if cfg.subword.joint else [])])
    target_dict = source_dict
    if not cfg.subword.joint:
        target_dict = codec.target.dictionary(source_dict.symbols if codec.copy_slots else [])
    for lang, dictionary in ((source, source_dict), (target, target_dict)):
        write_dictionary(cfg, folder, lang, dictionary)
    binarize(cfg, folder)
    sizes = [side.pieces.get_piece_size() for side in (codec.source, codec.target)]
    vocabulary = f"{sizes[0]:,} joint" if cfg.subword.joint else f"{sizes[0]:,} + {sizes[1]:,}"
    summary = {"pairs": counts, "longest": longest, "vocabulary": vocabulary, "languages": [source, target]}
    write_json(folder / SUMMARY, {**summary, "license": license_of(text)})


def check_options(cfg: DictConfig) -> None:
    """Raise UserError if the parts of a source exclude each other."""
    parts = {
        "subword.factors": cfg.subword.factors,
        "subword.annotate": cfg.subword.annotate,
        "data.retrieval": cfg.data.retrieval,
        "several directions": directions.tags(cfg),
    }
    if cfg.data.concatenate < 1:
        raise UserError(f"data.concatenate must be at least 1, got {cfg.data.concatenate}")
    if cfg.data.concatenate > 1 and (parts["data.retrieval"] or parts["several directions"]):
        raise UserError("data.concatenate and data.retrieval or several directions are mutually exclusive")
    chosen = [name for name, value in parts.items() if value]
    if len(chosen) > 1:
        raise UserError(f"{chosen[0]} and {chosen[1]} are mutually exclusive")
    if cfg.subword.target_tags and (other := next((name for name in list(parts)[2:] if parts[name]), None)):
        raise UserError(f"subword.target_tags and {other} are mutually exclusive")
    if cfg.data.retrieval and not cfg.subword.joint:
        raise UserError("data.retrieval requires subword.joint=true")


def _write_text(cfg: DictConfig, folder: Path, tally: Tally) -> Path:
    """Write the corpus of all directions to ``text/``."""
    parts = directions.split_directions(cfg)
    if len(parts) == 1:
        return _write_direction(parts[0], folder, tally)
    shared = directions.shared_language(cfg)

    def make(part: DictConfig) -> Path:
        return _write_direction(part, folder / directions.name(part), tally, shared)

    return directions.merge(cfg, parts, make, folder / "text", tally)


def _write_direction(cfg: DictConfig, folder: Path, tally: Tally, shared: str | None = None) -> Path:
    """Write the corpus of one direction to ``text/``, from a recipe or from the user's files.

    If a language is ``shared`` by all directions, its sentences alone decide what is held out of the user's pairs.
    """
    text, langs = folder / "text", (cfg.data.source_lang, cfg.data.target_lang)
    if cfg.data.recipe is not None:
        return run_recipe(cfg, text)
    meta = {"name": cfg.data.name, "source": "own files"}
    return write_corpus(text, own_splits(cfg, tally, shared), langs, meta, blank=SPLITS[1:])


def _write_pieces(
    cfg: DictConfig, folder: Path, lines: dict[str, list[Pair]], codec: PairCodec, tally: Tally
) -> tuple[dict[str, int], dict[str, int]]:
    """Write pieces and text without the pairs that are too long; return the size of each split, and the lengths."""
    encoded: dict[str, Encoded] = {}
    lengths: dict[str, np.ndarray] = {}  # in tokens, N x 2
    for split, pairs in lines.items():
        bar = Progress(pairs, f"      {split}", unit="pair")
        sides = (
            (codec.encode(source, target if split == "train" else None), codec.encode_target(target, source))
            for source, target in bar
        )
        encoded[split] = dict(enumerate(zip(pairs, sides, strict=True)))
        pieces = (pieces for _, pieces in encoded[split].values())
        lengths[split] = np.asarray([[side.count(" ") + 1 for side in pair] for pair in pieces]).reshape(-1, 2)
    _leave_out_long(cfg, encoded, lengths, tally)
    for split, kept in encoded.items():
        _write_kept(cfg, folder, split, kept)
    counts = {split: len(kept) for split, kept in encoded.items()}
    if not all(counts.values()):
        problem = f"no pair of at most data.max_length={cfg.data.max_length} tokens in some split: {counts}"
        raise UserError(f"{problem}; {tally.to_keep_long}" if tally.to_keep_long else problem)
    return counts, dict(zip(("source", "target"), longest_up_to(lengths.values(), cfg.data.max_length), strict=True))


def _leave_out_long(cfg: DictConfig, encoded: dict[str, Encoded], lengths: dict[str, np.ndarray], tally: Tally) -> None:
    """Remove pairs longer than ``data.max_length``; of the user's own held-out ones, empty the side that is too long.

    Raises:
        UserError: there are such held-out pairs, and ``data.on_bad_item`` is error.
    """
    limit = cfg.data.max_length
    own = [name for name in SPLITS[1:] if any(cfg.data[f"{name}_{part}"] for part in ("pairs", "source", "dialogues"))]
    long = {split: np.flatnonzero((each > limit).any(1)).tolist() for split, each in lengths.items()}
    places = {split: [tally.place(encoded[split][n][0]) or f"{split}:{n + 1}" for n in long[split]] for split in own}
    if (refused := [place for split in own for place in places[split]]) and not skips_bad(cfg.data):
        needed = max(int(lengths[split].max()) for split in own)
        raise UserError(
            f"{name_some(refused)}: held-out lines must have at most data.max_length={limit} tokens, got up to "
            f"{needed:,}; {_remedies(cfg, lengths, needed)}, or give such a line an empty output by {SKIP}"
        )
    if any(long.values()):
        tally.to_keep_long = _remedies(cfg, lengths, max(int(each.max()) for each in lengths.values()))
    reason = f"longer than {limit:,} tokens (data.max_length)"
    for split, numbers in long.items():
        if split in own:
            for place, number in zip(places[split], numbers, strict=True):
                (source, target), pieces = encoded[split][number]
                fits = (lengths[split][number] <= limit).tolist()
                read = pieces[0] if fits[0] else "", pieces[1] if fits[1] else ""
                encoded[split][number] = (source if fits[0] else "", target), read
                tally.blank[f"with a side {reason}, not read"].append(place)
            lengths[split] = np.where(lengths[split] > limit, 0, lengths[split])
        else:
            tally.leave_out(reason, [encoded[split].pop(number)[0] for number in numbers])
            if numbers and cfg.data.recipe is not None:
                note(f"{split}: {len(numbers):,} pairs {reason} left out")


def _remedies(cfg: DictConfig, lengths: dict[str, np.ndarray], max_length: int) -> str:
    return remedies(cfg, *longest_up_to(lengths.values(), max_length), max_length)


def _write_kept(cfg: DictConfig, folder: Path, split: str, kept: Encoded) -> None:
    """Write the text and the pieces of these pairs, by line number, and shorten the files that go along with them."""
    for side, lang in enumerate((cfg.data.source_lang, cfg.data.target_lang)):
        write_lines(folder / "text" / f"{split}.{lang}", [pair[side] for pair, _ in kept.values()])
        write_lines(folder / "pieces" / f"{split}.{lang}", [pieces[side] for _, pieces in kept.values()])
    for path in (folder / "text" / f"{split}.{suffix}" for suffix in ("references.tsv", "direction")):
        if path.is_file():
            lines = read_lines(path)
            write_lines(path, [lines[number] for number in kept])
