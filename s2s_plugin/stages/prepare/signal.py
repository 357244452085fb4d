"""Corpora of audio, video or images: packed features, and the texts as subwords."""

from __future__ import annotations

from itertools import compress
from pathlib import Path

from omegaconf import DictConfig

from s2s_plugin.corpora import media
from s2s_plugin.corpora.parallel import skips_bad
from s2s_plugin.corpora.splits import SPLITS
from s2s_plugin.corpora.tally import name_some
from s2s_plugin.corpora.writing import license_of
from s2s_plugin.datasets.manifest import Item, write_manifest
from s2s_plugin.errors import UserError
from s2s_plugin.stages.prepare.folder import SUMMARY, binarize, write_dictionary
from s2s_plugin.stages.prepare.lengths import SKIP, remedies
from s2s_plugin.text.vocabulary import copy_codec, learn_codec
from s2s_plugin.utils.console import note
from s2s_plugin.utils.io import write_json, write_lines


def build(cfg: DictConfig, folder: Path, final_folder: Path, features: Path) -> None:
    """Fill a prepared folder with manifests, ``pieces/``, the codec, the dictionary and fairseq's files.

    Paths to the packed ``features`` are relative to ``final_folder``, which ``folder`` will be renamed to.
    """
    lang, items = cfg.data.target_lang, media.packed_items(features)
    if cfg.subword.from_dir is None:
        texts = [text for _, text in media.item_pairs("train", items["train"])]
        codec = learn_codec(cfg.subword, folder, {lang: texts}).target
    else:
        codec = copy_codec(Path(cfg.subword.from_dir), folder, [lang]).target
    frames = max(item.frames for split in items.values() for item in split)
    encoded = {split: [codec.encode(text) for _, text in media.item_pairs(split, items[split])] for split in SPLITS}
    _leave_out_long(cfg, items, encoded, frames)
    for split, pieces in encoded.items():
        write_manifest(folder / f"{split}.tsv", cfg.data.source_lang, items[split])
        write_lines(folder / "pieces" / f"{split}.{lang}", pieces)
    counts = {split: len(pieces) for split, pieces in encoded.items()}
    write_dictionary(cfg, folder, lang, codec.dictionary())
    binarize(cfg, folder)
    media.write_source(cfg, folder, final_folder, features)
    lengths = {"source": frames, "target": _longest(encoded) + 1}  # </s>
    vocabulary = f"{codec.pieces.get_piece_size():,}"
    languages = [cfg.data.source_lang, lang]
    summary = {"pairs": counts, "longest": lengths, "vocabulary": vocabulary, "languages": languages}
    write_json(folder / SUMMARY, {**summary, "license": license_of(features / "manifests")})


def _longest(encoded: dict[str, list[str]]) -> int:
    return max(pieces.count(" ") + 1 for texts in encoded.values() for pieces in texts)


def _leave_out_long(cfg: DictConfig, items: dict[str, list[Item]], encoded: dict[str, list[str]], frames: int) -> None:
    """Remove training texts longer than ``data.max_length`` tokens, and empty those that are held out.

    Raises:
        UserError: there are such texts, and ``data.on_bad_item`` is error.
    """
    limit, longest, long = cfg.data.max_length, _longest(encoded), []
    for split, pieces in encoded.items():
        pairs = media.item_pairs(split, items[split])
        fits = [piece.count(" ") < limit for piece in pieces]
        long += [f"{split} {item.id}" for (item, _), fit in zip(pairs, fits, strict=True) if not fit]
        if split == "train" and not all(fits):
            texts: dict[str, list[str]] = {item.id: [] for item in items[split]}
            for item, text in compress(pairs, fits):
                texts[item.id].append(text)
            items[split] = [item._replace(texts=tuple(texts[item.id])) for item in items[split] if texts[item.id]]
            encoded[split] = list(compress(pieces, fits))
        else:
            encoded[split] = [piece if fit else "" for piece, fit in zip(pieces, fits, strict=True)]
    rule = f"{name_some(long)}: texts must have at most data.max_length={limit} tokens, got up to {longest:,}"
    if long and not skips_bad(cfg.data):
        raise UserError(f"{rule}; {remedies(cfg, frames, longest + 1, longest)}, or leave them out by {SKIP}")
    if long:
        note(f"{rule}: left out of training, and of the validation loss")
    if not encoded["train"]:
        raise UserError(f"no text of at most data.max_length={limit} tokens is left for training")
