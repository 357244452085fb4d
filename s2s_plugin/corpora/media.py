"""Stage 1 where the source is a signal: manifests, packed features of their media, texts to subwords."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from s2s_plugin.corpora import splits as corpus
from s2s_plugin.corpora.lines import skips_bad
from s2s_plugin.corpora.recipe import recipe_stamp, run_recipe
from s2s_plugin.datasets.features import PackedFeatures, pack
from s2s_plugin.datasets.frontends import build_frontend
from s2s_plugin.datasets.manifest import MODALITIES, Item, read_manifest, write_manifest
from s2s_plugin.errors import UserError
from s2s_plugin.tasks.seq2seq import SOURCE_META
from s2s_plugin.utils.console import say
from s2s_plugin.utils.io import locked, write_json

MANIFESTS = {"train": "manifest", "valid": "valid_manifest", "test": "test_manifest"}
PACKED = "packed.json"  # in the features' folder when it is whole


def is_signal(cfg: DictConfig) -> bool:
    """Whether the source is audio, video or pictures."""
    return cfg.data.source_lang in MODALITIES


def features_folder(cfg: DictConfig) -> Path:
    """Where the features of this corpus with this frontend are, or will be.

    Raises:
        UserError: a manifest cannot be read.
    """
    data = OmegaConf.to_container(cfg.data, resolve=True)
    assert isinstance(data, dict)
    for name in ("on_bad_item", "max_symbols"):
        data.pop(name)
    settings = {
        "data": data,
        **recipe_stamp(cfg.data.recipe),
        "frontend": OmegaConf.to_container(cfg[cfg.data.source_lang], resolve=True),
        "manifests": {name: _stamp(Path(cfg.data[name])) for name in MANIFESTS.values() if cfg.data[name] is not None},
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
    return Path(cfg.prepared_dir) / "features" / f"{cfg.data.name}.{cfg.data.source_lang}.{digest}"


def _stamp(manifest: Path) -> str:
    """A manifest's content, and the sizes and times of the files it names, or that are in the folders it names."""
    _, items = read_manifest(manifest)
    found = []
    for item in items:
        files = sorted(item.path.iterdir()) if item.path.is_dir() else [item.path]
        kept = [(file, file.stat()) for file in files if file.exists()]
        found.append((str(item.path), [(file.name, stat.st_size, stat.st_mtime_ns) for file, stat in kept]))
    return hashlib.sha256(manifest.read_bytes() + repr(found).encode()).hexdigest()


def pack_corpus(cfg: DictConfig) -> Path:
    """Make the folder of features, or finish it where an earlier try stopped.

    It holds ``manifests/``, and for each split the packed features and a manifest of the items in them.

    Raises:
        UserError: the corpus cannot be had, or an item is unusable and not to be skipped.
    """
    out = features_folder(cfg)
    with locked(out.with_name(f".{out.name}.lock")):
        if (out / PACKED).is_file():
            return out
        manifests = out / "manifests"
        if not (manifests / "manifest.json").is_file():
            _manifests(cfg, manifests)
        modality, skip = cfg.data.source_lang, skips_bad(cfg.data)
        frontend = build_frontend(modality, cfg[modality])
        skipped: dict[str, dict[str, str]] = {}
        for split in corpus.SPLITS:
            _, items = read_manifest(manifests / f"{split}.tsv")
            if not (out / f"{split}.json").is_file():
                skipped[split] = pack(items, frontend, out / split, skip)
            packed = PackedFeatures(out / split)
            sizes = dict(zip(packed.ids, packed.sizes.tolist(), strict=True))
            usable = [item._replace(frames=sizes[item.id]) for item in items if item.id in sizes]
            write_manifest(out / f"{split}.tsv", modality, usable)
            for name, reason in skipped.get(split, {}).items():
                say(f"      left out {split} {name}: {reason}")
        write_json(out / PACKED, {"skipped": skipped})
    return out


def _manifests(cfg: DictConfig, out: Path) -> None:
    """The corpus's manifests, from a recipe or from the user."""
    if cfg.data.recipe is not None:
        run_recipe(cfg, out)
        return
    if cfg.data.manifest is None:
        raise UserError(
            "give your files: data=manifest data.manifest=FILE.tsv (columns: id, audio|video|image, tgt_text)"
        )
    splits = {split: _own(cfg, split) for split, name in MANIFESTS.items() if cfg.data[name] is not None}
    missing = [split for split in ("valid", "test") if split not in splits]
    if missing:
        splits |= hold_out(splits["train"], missing, cfg.data.held_out)
    if not all(splits.values()):
        raise UserError(
            f"{cfg.data.manifest}: {len(splits['train']):,} items are too few to hold some out; give more, or "
            "data.valid_manifest and data.test_manifest"
        )
    corpus.write_manifests(out, cfg.data.source_lang, splits, {"name": cfg.data.name, "source": "own files"})


def _own(cfg: DictConfig, split: str) -> list[Item]:
    path = Path(cfg.data[MANIFESTS[split]])
    modality, items = read_manifest(path)
    if modality != cfg.data.source_lang:
        raise UserError(f"{path}: has a column {modality}, but data.source_lang is {cfg.data.source_lang}")
    return [item._replace(path=item.path.resolve()) for item in items]


def hold_out(items: list[Item], splits: list[str], most: int) -> dict[str, list[Item]]:
    """Take ``splits`` from the training items by the hash of their ids.

    Each gets a tenth of the items, but at most ``most``. Returns all splits, ``train`` with them.
    """
    share = min(most / len(items), 0.1)
    result: dict[str, list[Item]] = {"train": [], **{split: [] for split in splits}}
    for item in items:
        place = int(hashlib.sha256(item.id.encode()).hexdigest()[:12], 16) / 16**12
        number = int(place / share)
        result[splits[number] if number < len(splits) else "train"].append(item)
    return result


# ------------------------------------------------------- the prepared folder


def texts(features: Path) -> dict[str, list[Item]]:
    """Items of each split that have features."""
    return {split: read_manifest(features / f"{split}.tsv")[1] for split in corpus.SPLITS}


def pairs(split: str, items: list[Item]) -> list[tuple[Item, str]]:
    """What a split's dataset holds: in training a pair for each text of an item, else one with its first."""
    return [(item, text) for item in items for text in (item.texts if split == "train" else item.texts[:1])]


def write_source(cfg: DictConfig, partial: Path, out: Path, features: Path) -> None:
    """``source.json``, from which the task knows how to read the features and further files."""
    modality = cfg.data.source_lang
    write_json(
        partial / SOURCE_META,
        {
            "modality": modality,
            "frontend": OmegaConf.to_container(cfg[modality], resolve=True),
            "features": os.path.relpath(features, out),
        },
    )
