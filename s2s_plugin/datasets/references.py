"""The original texts of a held-out split, by which its outputs are scored."""

from __future__ import annotations

from pathlib import Path

from s2s_plugin.datasets.manifest import MODALITIES, prepared_items
from s2s_plugin.utils.digests import read_prepared
from s2s_plugin.utils.io import read_json


def read_references(folder: Path, split: str, source_lang: str, target_lang: str) -> list[str | list[str]]:
    """Return the reference, or the several references, of each item of a prepared folder's split, in corpus order."""
    if source_lang in MODALITIES:
        items = prepared_items(folder / f"{split}.tsv")
        return [item.texts[0] if len(item.texts) == 1 else list(item.texts) for item in items]
    text = folder / "text"
    several = text / f"{split}.references.tsv"  # of the recipe's own direction
    languages = (read_json(text / "manifest.json") or {}).get("languages")
    if several.is_file() and languages != [target_lang, source_lang]:
        return [line.split("\t") for line in read_prepared(several)]
    return [*read_prepared(text / f"{split}.{target_lang}")]
