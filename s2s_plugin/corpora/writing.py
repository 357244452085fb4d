"""Write a corpus to a folder, whole or not at all, and check that it can be read back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from s2s_plugin.corpora.cleaning import Pair
from s2s_plugin.datasets.manifest import Item, write_manifest
from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import atomic_folder, file_sha256, write_json, write_lines

MANIFEST = "manifest.json"


def write_corpus(
    out: Path,
    splits: Mapping[str, Sequence[Pair]],
    langs: tuple[str, str],
    meta: dict,
    references: Mapping[str, Sequence[Sequence[str]]] | None = None,
    exact: Collection[str] = (),
) -> Path:
    """Write ``train.<src> train.<tgt> valid.* test.*`` and ``manifest.json`` to the folder ``out``.

    Args:
        out: replaced if it holds an earlier corpus.
        splits: pairs of text by split.
        langs: source and target language, the endings of the files.
        meta: opens the manifest (name, source, version, license ...); lines and sha256 of each file follow.
        references: by split, the texts that outputs are scored against in place of the targets, one or several per
            pair; written to ``<split>.references.tsv``.
        exact: languages, such as programs, whose spaces are kept as they are.

    Raises:
        UserError: a split is empty, a side or reference is empty or holds a line break, or ``out`` is no corpus folder.
    """
    _check(splits, langs, exact)
    references = references or {}
    for name, items in references.items():
        for number, item in enumerate(items, start=1):
            if not item or any(not text or text != " ".join(text.split()) for text in item):
                raise UserError(f"{name}.references.tsv:{number}: texts must be non-empty, single-spaced, got {item!r}")

    def write(partial: Path) -> dict[str, dict]:
        texts = {f"{name}.{lang}": [pair[side] for pair in pairs]
                 for name, pairs in splits.items() for side, lang in enumerate(langs)}  # fmt: skip
        texts |= {f"{name}.references.tsv": ["\t".join(item) for item in items] for name, items in references.items()}
        for name, lines in texts.items():
            write_lines(partial / name, lines)
        return {name: {"lines": len(lines), "sha256": file_sha256(partial / name)} for name, lines in texts.items()}

    return _write_folder(out, write, {**meta, "languages": list(langs)})


def write_manifests(out: Path, modality: str, splits: Mapping[str, Sequence[Item]], meta: dict) -> Path:
    """Write ``train.tsv valid.tsv test.tsv`` and ``manifest.json`` to the folder ``out``.

    ``meta`` (name, source, version, license ...) opens the latter; items and sha256 of each file follow. An earlier
    corpus at ``out`` is replaced.

    Raises:
        UserError: a split is empty, an id comes twice in a split, or ``out`` is no corpus folder.
    """

    def write(partial: Path) -> dict[str, dict]:
        files = {}
        for name, items in splits.items():
            path, ids = partial / f"{name}.tsv", {item.id for item in items}
            if not ids:
                raise UserError(f"the {name} split is empty: too little data, or too much of it filtered")
            if len(ids) != len(items):
                raise UserError(f"the {name} split has {len(items):,} items with {len(ids):,} different ids")
            write_manifest(path, modality, items)
            files[path.name] = {"items": len(items), "sha256": file_sha256(path)}
        return files

    return _write_folder(out, write, {**meta, "modality": modality})


def _write_folder(out: Path, write: Callable[[Path], dict[str, dict]], meta: dict) -> Path:
    """Fill the folder ``out`` by ``write``, which returns what the manifest states of each file."""
    if out.exists() and not (out / MANIFEST).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists and is not a prepared corpus: choose another --out, or delete it")
    with atomic_folder(out) as partial:
        write_json(partial / MANIFEST, {**meta, "files": write(partial)})
    return out


def _check(splits: Mapping[str, Sequence[Pair]], langs: tuple[str, str], exact: Collection[str]) -> None:
    """Raise UserError where a file would be read back as something else."""
    if langs[0] == langs[1]:
        raise UserError(f"source and target language must differ, got {langs[0]} twice")
    for name, pairs in splits.items():
        if not pairs:
            raise UserError(f"the {name} split is empty: too little data, or too much of it filtered")
        for number, pair in enumerate(pairs, start=1):
            for lang, text in zip(langs, pair, strict=True):
                line = text.splitlines()[:1] if lang in exact else [" ".join(text.split())]
                if not text.strip() or [text] != line:
                    raise UserError(f"{name}.{lang}:{number}: text must be non-empty, single-spaced, got {text!r}")
