"""Write a corpus to a folder, whole or not at all, and check that it can be read back."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from s2s_plugin.corpora.cleaning import Pair
from s2s_plugin.datasets.manifest import Item, write_manifest
from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import atomic_folder, file_sha256, read_json, write_json, write_lines

MANIFEST = "manifest.json"


def write_corpus(
    out: Path,
    splits: Mapping[str, Sequence[Pair]],
    langs: tuple[str, str],
    meta: dict,
    references: Mapping[str, Sequence[Sequence[str]]] | None = None,
    blank: Collection[str] = (),
) -> Path:
    """Write ``train.<src> train.<tgt> valid.* test.*`` and ``manifest.json`` to ``out``, replacing an earlier corpus.

    Args:
        out: folder.
        splits: pairs of text by split.
        langs: source and target language, the endings of the files.
        meta: start of the manifest (name, source, version, license ...); lines and sha256 of each file follow.
        references: by split, the texts that outputs are scored against in place of the targets, one or several per
            pair; written to ``<split>.references.tsv``.
        blank: splits whose sides may be empty.

    Raises:
        UserError: a split is empty, a side or reference is empty or holds a line break, or ``out`` is no corpus folder.
    """
    lines: dict[str, list[str]] = {}
    for split, pairs in splits.items():
        _check_size(split, pairs)
        for side, lang in enumerate(langs):
            name = f"{split}.{lang}"
            lines[name] = [
                pair[side] if not pair[side] and split in blank else _check_text(name, number, pair[side])
                for number, pair in enumerate(pairs, start=1)
            ]
    for split, items in (references or {}).items():
        name = f"{split}.references.tsv"
        lines[name] = [
            "\t".join(_check_text(name, n, text) for text in item or [""]) for n, item in enumerate(items, start=1)
        ]
    with _corpus_folder(out, {**meta, "languages": list(langs)}) as (partial, files):
        for name, texts in lines.items():
            write_lines(partial / name, texts)
            files[name] = {"lines": len(texts), "sha256": file_sha256(partial / name)}
    return out


def write_manifests(out: Path, modality: str, splits: Mapping[str, Sequence[Item]], meta: dict) -> Path:
    """Write ``train.tsv valid.tsv test.tsv`` and ``manifest.json``; see :func:`write_corpus`.

    Raises:
        UserError: a split is empty, an id comes twice in a split, or ``out`` is no corpus folder.
    """
    with _corpus_folder(out, {**meta, "modality": modality}) as (partial, files):
        for split, items in splits.items():
            _check_size(split, items)
            path, ids = partial / f"{split}.tsv", {item.id for item in items}
            if len(ids) != len(items):
                raise UserError(f"the {split} split has {len(items):,} items with {len(ids):,} different ids")
            write_manifest(path, modality, items)
            files[path.name] = {"items": len(items), "sha256": file_sha256(path)}
    return out


@contextmanager
def _corpus_folder(out: Path, meta: dict) -> Iterator[tuple[Path, dict[str, dict]]]:
    """Yield a folder that becomes ``out``, and the manifest's entries of its files; both are to be filled."""
    if out.exists() and not (out / MANIFEST).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists and is not a prepared corpus: choose another --out, or delete it")
    files: dict[str, dict] = {}
    with atomic_folder(out) as partial:
        yield partial, files
        write_json(partial / MANIFEST, {**meta, "files": files})


def license_of(folder: Path) -> str:
    """Return the license that the manifest of a corpus states, of several corpora each; nothing for own files."""
    about = read_json(folder / MANIFEST)
    parts = [about, *about.get("corpora", {}).values()]
    return "; ".join(dict.fromkeys(part["license"] for part in parts if part.get("license")))


def _check_size(split: str, items: Sequence) -> None:
    if not items:
        raise UserError(f"the {split} split is empty: too little data, or too much of it filtered")


def _check_text(file: str, number: int, text: str) -> str:
    """Return the text; raise UserError if its line would be read back as something else."""
    if not text.strip() or text.splitlines() != [text] or (file.endswith(".tsv") and "\t" in text):
        raise UserError(f"{file}:{number}: text must be non-empty and one line, got {text!r}")
    return text
