"""Prepare a corpus whose source is a signal: its manifests, and the packed features of their media."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import cast

from omegaconf import DictConfig, OmegaConf

from s2s_plugin.corpora.holding_out import connect, place
from s2s_plugin.corpora.parallel import say_overlap, skips_bad
from s2s_plugin.corpora.recipe import recipe_stamp, run_recipe
from s2s_plugin.corpora.splits import SPLITS, collect
from s2s_plugin.corpora.tally import Tally
from s2s_plugin.corpora.writing import MANIFEST, write_manifests
from s2s_plugin.datasets.features import PackedFeatures, pack
from s2s_plugin.datasets.frontends import build_frontend
from s2s_plugin.datasets.manifest import MODALITIES, Item, prepared_items, read_manifest, split_slice, write_manifest
from s2s_plugin.errors import UserError
from s2s_plugin.tasks.loading import SOURCE_META, read_source_meta
from s2s_plugin.utils.console import note_some
from s2s_plugin.utils.digests import record_digests
from s2s_plugin.utils.io import file_sha256, fingerprint, locked, write_json

MANIFESTS = {"train": "manifest", "valid": "valid_manifest", "test": "test_manifest"}
UNPACKED_OPTIONS = ("on_bad_item", "max_length")  # options of the data that the features do not depend on
PACKED = "packed.json"  # in the features' folder when it is whole


def is_signal(cfg: DictConfig) -> bool:
    """Return whether the source is audio, video or an image."""
    return cfg.data.source_lang in MODALITIES


def features_folder(cfg: DictConfig) -> Path:
    """Return where the features of this corpus with this frontend are, or will be."""
    data = cast(dict, OmegaConf.to_container(cfg.data, resolve=True))
    settings = {
        "data": {name: value for name, value in data.items() if name not in UNPACKED_OPTIONS},
        **recipe_stamp(cfg.data.recipe),
        "frontend": OmegaConf.to_container(cfg[cfg.data.source_lang], resolve=True),
        "manifests": {name: _stamp(Path(cfg.data[name])) for name in MANIFESTS.values() if cfg.data[name] is not None},
    }
    name = f"{cfg.data.name}.{cfg.data.source_lang}.{fingerprint(settings)[:8]}"
    return Path(cfg.prepared_dir) / "features" / name


def _stamp(manifest: Path) -> str:
    """Return a fingerprint of a manifest and the sizes and times of its media, files or folders of frames."""
    media = []
    for item in read_manifest(manifest, own=True, skipped=[])[1]:
        path = split_slice(item.path)[0]
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        stats = [(file.name, file.stat()) for file in files if file.exists()]
        media.append((str(item.path), [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]))
    return fingerprint(manifest, media)


def packed_folder(prepared: Path) -> Path:
    """Return where the features of a prepared folder are."""
    return prepared / read_source_meta(prepared)["features"]


def is_packed(features: Path) -> bool:
    """Return whether a folder of features is whole."""
    return (features / PACKED).is_file()


def pack_corpus(cfg: DictConfig) -> Path:
    """Make the folder of features, or finish it where an earlier run stopped.

    It holds ``manifests/``, and for each split the packed features and a manifest of the items in them.
    """
    out = features_folder(cfg)
    with locked(out.with_name(f".{out.name}.lock")):
        if is_packed(out):
            return out
        manifests, tally = out / "manifests", Tally()
        if not (manifests / MANIFEST).is_file():
            _manifests(cfg, manifests, tally)
        modality, skip = cfg.data.source_lang, skips_bad(cfg.data)
        frontend = build_frontend(modality, cfg[modality])
        skipped: dict[str, dict[str, str]] = {}
        total = 0
        for split in SPLITS:
            _, items = read_manifest(manifests / f"{split}.tsv")
            tally.read += sum(len(item.texts) for item in items)
            keep_all = split != "train" and cfg.data[MANIFESTS[split]] is not None
            if not (out / f"{split}.json").is_file():
                try:
                    pack(items, frontend, out / split, skip, cfg.workers or None, keep_all)
                except UserError as error:
                    raise _with_limits(error, cfg) from None
            packed = PackedFeatures(out / split)
            skipped[split] = packed.skipped
            for name, reason in packed.skipped.items():
                note_some("skip", f"{'kept blank' if keep_all else 'skipped'} {split} {name}: {reason}")
            # A blank item has no frames in the manifest: its output is empty.
            sizes = dict(zip(packed.ids, packed.sizes.tolist(), strict=True)) | dict.fromkeys(packed.skipped, 0)
            kept = [item._replace(frames=sizes[item.id]) for item in items if keep_all or sizes[item.id]]
            total += sum(len(item.texts) for item in kept)
            places = tally.blank if keep_all else tally.left_out
            places["with an unusable file"] += [i.where for i in items if not sizes[i.id] for _ in i.texts]
            write_manifest(out / f"{split}.tsv", modality, kept)
        record_digests(out)
        write_json(out / PACKED, {"skipped": skipped})
        if cfg.data.recipe is None:
            tally.say(total)
    return out


def steps_per_second(cfg: DictConfig) -> float:
    """Return the number of source steps of a second of audio or video."""
    return cfg.video.fps if cfg.data.source_lang == "video" else 1000 / cfg.audio.frame_shift_ms


def _with_limits(error: UserError, cfg: DictConfig) -> UserError:
    """Return the error; of a recording that is too long, with all options that limit its length."""
    limit = f"{cfg.data.source_lang}.max_seconds"
    if f"{limit}=" not in str(error):
        return error
    others, rate = "task.max_source_positions and dataset.max_tokens", steps_per_second(cfg)
    return UserError(f"{error}. To use it raise {limit}, and {others} to {rate:g} a second")


def _manifests(cfg: DictConfig, out: Path, tally: Tally) -> None:
    """Write the corpus's manifests, from a recipe or from the user; count the user's malformed rows."""
    if cfg.data.recipe is not None:
        run_recipe(cfg, out)
        return
    if cfg.data.manifest is None:
        raise UserError("data.manifest is required: data.manifest=FILE.tsv (columns: id, audio|video|image, tgt_text)")
    splits = {}
    for split, name in MANIFESTS.items():
        if (path := cfg.data[name]) is None:
            continue
        bad: list[str] | None = [] if skips_bad(cfg.data) else None
        modality, items = read_manifest(Path(path), own=True, skipped=bad)
        if bad and split != "train":
            raise UserError(
                f"{bad[0]}; data.on_bad_item=skip keeps the rows of a held-out manifest, and cannot keep this"
            )
        for problem in bad or ():
            note_some("rows", f"skipped {problem}")
            tally.read += 1
            tally.left_out["malformed row"].append(problem.partition(": ")[0])
        if modality != cfg.data.source_lang:
            raise UserError(f"{path}: expected a column {cfg.data.source_lang} (data.source_lang), got {modality}")
        splits[split] = [item._replace(path=item.path.resolve()) for item in items]
    splits["train"] = _own_leaks(cfg, splits, tally)
    if missing := [split for split in SPLITS if split not in splits]:
        items, keys = splits["train"], _file_keys(splits["train"])
        labels = connect([(keys[item.path],) for item in items])  # the rows of a file stay together
        names = place(labels, [item.id for item in items], cfg.data.held_out)
        parts = collect(zip([name if name in missing else "train" for name in names], items, strict=True))
        splits |= {split: parts[split] for split in ("train", *missing)}
    if not all(splits.values()):
        problem = f"{cfg.data.manifest}: {len(splits['train']):,} items are too few to hold some out"
        raise UserError(f"{problem}; add more, or set data.valid_manifest and data.test_manifest")
    write_manifests(out, cfg.data.source_lang, splits, {"name": cfg.data.name, "source": "own files"})


def _file_keys(items: Iterable[Item]) -> dict[Path, str]:
    """Return what tells files apart: the path, or the digest of the content if another file has the same size."""
    keys, sizes = {item.path: str(item.path) for item in items}, {}
    for path in keys:
        with suppress(OSError):  # said when it is packed
            sizes[path] = path.stat().st_size if path.is_file() else 0
    counts = Counter(sizes.values())
    for path, size in sizes.items():
        if size and counts[size] > 1:
            with suppress(OSError):
                keys[path] = file_sha256(path)
    return keys


def _own_leaks(cfg: DictConfig, splits: dict[str, list[Item]], tally: Tally) -> list[Item]:
    """Return the training items; without those whose file is in a held-out manifest, or say how many there are."""
    train, held_out = splits["train"], [item for split in SPLITS[1:] for item in splits.get(split, [])]
    if not held_out:
        return train
    keys = _file_keys([*train, *held_out])
    shared = {keys[item.path] for item in held_out} & {keys[item.path] for item in train}
    leaks = [item.where for item in train if keys[item.path] in shared for _ in item.texts]
    if not leaks:
        return train
    if not cfg.data.drop_overlap:
        say_overlap(len(leaks), sum(keys[item.path] in shared for item in held_out), len(held_out))
        return train
    tally.read += len(leaks)
    tally.left_out["with a file that is held out"] += leaks
    if clean := [item for item in train if keys[item.path] not in shared]:
        return clean
    raise UserError(f"{cfg.data.manifest}: all files are in held-out manifests too; nothing is left for training")


def packed_items(features: Path) -> dict[str, list[Item]]:
    """Return the items of each split that have features."""
    return {split: prepared_items(features / f"{split}.tsv") for split in SPLITS}


def item_pairs(split: str, items: list[Item]) -> list[tuple[Item, str]]:
    """Return the pairs of a split: one for each text of an item in training, else one with the first text."""
    return [(item, text) for item in items for text in (item.texts if split == "train" else item.texts[:1])]


def write_source(cfg: DictConfig, partial: Path, out: Path, features: Path) -> None:
    """Write ``source.json``, which tells the task how to read the features and other media."""
    modality = cfg.data.source_lang
    frontend = OmegaConf.to_container(cfg[modality], resolve=True)
    meta = {"modality": modality, "frontend": frontend, "features": os.path.relpath(features, out)}
    write_json(partial / SOURCE_META, meta)
