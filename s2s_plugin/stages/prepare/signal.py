"""Corpora of audio, video or images: packed features, and the texts as subwords."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from s2s_plugin.corpora import media
from s2s_plugin.corpora.splits import SPLITS
from s2s_plugin.datasets.manifest import write_manifest
from s2s_plugin.errors import UserError
from s2s_plugin.stages.prepare.folder import SUMMARY, binarize, write_dictionary
from s2s_plugin.text.vocabulary import copy_codec, learn_codec
from s2s_plugin.utils.io import write_json, write_lines


def build(cfg: DictConfig, folder: Path, final_folder: Path, features: Path) -> None:
    """Fill a prepared folder with manifests, ``pieces/``, the codec, the dictionary and fairseq's files.

    Paths to the packed ``features`` are relative to ``final_folder``, which ``folder`` will be renamed to.
    """
    lang, items = cfg.data.target_lang, media.texts(features)
    if cfg.subword.from_dir is None:
        texts = [text for _, text in media.pairs("train", items["train"])]
        codec = learn_codec(cfg.subword, folder, {lang: texts}).target
    else:
        codec = copy_codec(Path(cfg.subword.from_dir), folder, [lang]).target
    longest, counts = 0, {}
    for split in SPLITS:
        write_manifest(folder / f"{split}.tsv", cfg.data.source_lang, items[split])
        pieces = []
        for item, text in media.pairs(split, items[split]):
            pieces.append(codec.encode(text))
            length = pieces[-1].count(" ") + 1
            if length > cfg.data.max_length:
                raise UserError(
                    f"{split} {item.id}: expected a text of at most data.max_length={cfg.data.max_length} tokens, "
                    f"got {length:,}: '{text[:40]}...'"
                )
            longest = max(longest, length + 1)  # </s>
        write_lines(folder / "pieces" / f"{split}.{lang}", pieces)
        counts[split] = len(pieces)
    write_dictionary(cfg, folder, lang, codec.dictionary())
    binarize(cfg, folder)
    media.write_source(cfg, folder, final_folder, features)
    frames = max(item.frames for split in items.values() for item in split)
    lengths, vocabulary = {"source": frames, "target": longest}, f"{codec.pieces.get_piece_size():,}"
    languages = [cfg.data.source_lang, lang]
    summary = {"pairs": counts, "longest": lengths, "vocabulary": vocabulary, "languages": languages}
    write_json(folder / SUMMARY, summary)
