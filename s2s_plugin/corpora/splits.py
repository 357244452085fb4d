"""What every recipe needs: cleaning of text, a split that does not leak, writing all or nothing."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from s2s_plugin.datasets.manifest import Item, write_manifest
from s2s_plugin.errors import UserError
from s2s_plugin.text.normalize import JOINERS, match_key
from s2s_plugin.utils.io import file_sha256

Pair = tuple[str, str]  # one line of text per side: source, target
Splits = dict[str, list[Pair]]  # "train", "valid", "test"
SPLITS = ("train", "valid", "test")
LETTER = re.compile(r"[^\W\d_]")
MAX_RATE = 25.0  # letters a second that a voice can read

PLAIN_QUOTES = str.maketrans(dict.fromkeys("’‘‚‛`´", "'") | dict.fromkeys("“”„‟«»", '"'))


# --- cleaning ---------------------------------------------------------------------------------------------


def clean_text(text: str, plain_quotes: bool = True) -> str:
    """One line in NFC, without control and format characters, words one space apart.

    ``plain_quotes``: typographic quotes and apostrophes become ``"`` and ``'``, as they are typed.
    """
    text = unicodedata.normalize("NFC", text)
    text = "".join(c for c in text if c.isspace() or c in JOINERS or unicodedata.category(c)[0] != "C")
    text = " ".join(text.split())  # also U+2028, U+0085, no-break space
    return text.translate(PLAIN_QUOTES) if plain_quotes else text


def clean_pairs(pairs: Iterable[Pair], plain_quotes: bool = True) -> list[Pair]:
    """All pairs with cleaned sides; pairs with an empty side are dropped."""
    cleaned = ((clean_text(src, plain_quotes), clean_text(tgt, plain_quotes)) for src, tgt in pairs)
    return [(src, tgt) for src, tgt in cleaned if src and tgt]


def word_count(text: str) -> int:
    """Words of a line, counted as they are written (separated by spaces)."""
    return len(text.split())


def right_length(pair: Pair, min_words: int, max_words: int, max_ratio: float = 0.0) -> bool:
    """Whether both sides have ``min_words`` to ``max_words`` words.

    ``max_ratio``: the longer side may have this many times the words of the shorter one (0: any).
    """
    short, long = sorted(map(word_count, pair))
    return min_words <= short and long <= max_words and (not max_ratio or long <= max_ratio * max(short, 1))


def dedup(pairs: Iterable[Pair]) -> list[Pair]:
    """The first of each distinct pair; case, spacing and punctuation make no difference."""
    first: dict[Pair, Pair] = {}
    for src, tgt in pairs:
        first.setdefault((match_key(src), match_key(tgt)), (src, tgt))
    return list(first.values())


def can_be_said(text: str, seconds: float) -> bool:
    """Whether a voice can read the text in this time; if not, more is written than said."""
    return len(match_key(text).replace(" ", "")) <= MAX_RATE * seconds


# --- splitting --------------------------------------------------------------------------------------------


def check_shares(valid: float, test: float, both_needed: bool = False) -> None:
    """
    Raises:
        UserError: the fractions leave nothing for train, or one of ``both_needed`` is 0.
    """
    if not (valid >= 0 and test >= 0 and valid + test < 1) or (both_needed and not (valid and test)):
        above = " above 0" if both_needed else ""
        raise UserError(f"valid and test must be fractions{above} that leave some for train, got {valid} and {test}")


def check_sides(src: str, tgt: str, names: tuple[str, str]) -> None:
    """Of a corpus that goes one way, the sides may have other names than these, but not each other's.

    Raises:
        UserError: they are turned round.
    """
    if src == names[1] or tgt == names[0]:
        raise UserError(f"this corpus goes from {names[0]} to {names[1]}, and --src is {src}, --tgt {tgt}")


def split_name(group: str, valid: float, test: float) -> str:
    """The split of a group by the hash of its name: the same on every machine, whatever else is in the data.

    ``valid``, ``test``: the fraction of groups that goes to these splits, 0 to 1.
    """
    digest = hashlib.sha256(group.encode("utf-8")).digest()
    position = int.from_bytes(digest[:6], "big") / 2**48  # 0 <= position < 1
    if position < test:
        return "test"
    return "valid" if position < test + valid else "train"


def split_by_group(items: Iterable[tuple[str, Pair]], valid: float, test: float) -> Splits:
    """Split ``(group, pair)`` items so that a group never spans two splits and no line of one is in another.

    In test and valid each line appears once (a source with two references would count twice). A valid pair
    with a side in test, and a train pair with a side in valid or test (see :func:`match_key`), is dropped.
    """
    check_shares(valid, test)
    splits: Splits = {name: [] for name in SPLITS}
    for group, pair in items:
        splits[split_name(group, valid, test)].append(pair)
    held_out: tuple[set[str], set[str]] = (set(), set())
    for name in ("test", "valid"):
        splits[name] = _take_unseen(splits[name], held_out)
    splits["train"] = without_leaks(dedup(splits["train"]), splits["valid"] + splits["test"])
    return splits


def without_leaks(pairs: Iterable[Pair], held_out: Sequence[Pair]) -> list[Pair]:
    """The pairs that share no side with a held-out pair (see :func:`match_key`)."""
    keys = {match_key(src) for src, _ in held_out}, {match_key(tgt) for _, tgt in held_out}
    return [(src, tgt) for src, tgt in pairs if match_key(src) not in keys[0] and match_key(tgt) not in keys[1]]


def _take_unseen(pairs: Sequence[Pair], seen: tuple[set[str], set[str]]) -> list[Pair]:
    """The pairs of which neither side was seen before; what is taken is added to ``seen``."""
    taken = []
    for src, tgt in pairs:
        keys = match_key(src), match_key(tgt)
        if keys[0] not in seen[0] and keys[1] not in seen[1]:
            taken.append((src, tgt))
            seen[0].add(keys[0])
            seen[1].add(keys[1])
    return taken


# --- writing ----------------------------------------------------------------------------------------------


def write_corpus(
    out: Path,
    splits: Splits,
    langs: tuple[str, str],
    meta: dict,
    references: Mapping[str, Sequence[Sequence[str]]] | None = None,
    exact: Collection[str] = (),
) -> Path:
    """Write ``train.<src> train.<tgt> valid.* test.*`` and ``manifest.json`` to the folder ``out``.

    ``meta`` (name, source, version, licence ...) opens the manifest; lines and sha256 of each file follow.
    ``references``: of a split, what its outputs are scored against in place of the targets, one or several texts a
    pair; they go to ``<split>.references.tsv``. In the languages ``exact``, such as programs, spaces mean something and
    lines are taken as they are. The folder appears whole or not at all; an earlier corpus at ``out`` is replaced.

    Raises:
        UserError: a split is empty, a side or reference is empty or holds a line break, or ``out`` is no corpus folder.
    """
    _check(splits, langs, exact)
    for name, items in (references or {}).items():
        for number, item in enumerate(items, start=1):
            if not item or any(not text or text != " ".join(text.split()) for text in item):
                raise UserError(f"{name}, references {number}: none, an empty one or one with stray space: {item!r}")

    def write(partial: Path) -> dict[str, dict]:
        files = {}
        for name, pairs in splits.items():
            for side, lang in enumerate(langs):
                path = partial / f"{name}.{lang}"
                path.write_text("".join(pair[side] + "\n" for pair in pairs), encoding="utf-8", newline="\n")
                files[path.name] = {"lines": len(pairs), "sha256": file_sha256(path)}
        for name, items in (references or {}).items():
            path = partial / f"{name}.references.tsv"
            path.write_text("".join("\t".join(item) + "\n" for item in items), encoding="utf-8", newline="\n")
            files[path.name] = {"lines": len(items), "sha256": file_sha256(path)}
        return files

    return _write_folder(Path(out), write, {**meta, "languages": list(langs)})


def write_manifests(out: Path, modality: str, splits: Mapping[str, Sequence[Item]], meta: dict) -> Path:
    """Write ``train.tsv valid.tsv test.tsv`` and ``manifest.json`` to the folder ``out``.

    ``meta`` (name, source, version, licence ...) opens the latter; items and sha256 of each file follow. The folder
    appears whole or not at all; an earlier one is replaced.

    Raises:
        UserError: a split is empty, an id comes twice in a split, or ``out`` holds something else.
    """

    def write(partial: Path) -> dict[str, dict]:
        files = {}
        for name, items in splits.items():
            path, ids = partial / f"{name}.tsv", [item.id for item in items]
            if not ids:
                raise UserError(f"the {name} split is empty: too little data, or too much of it filtered")
            if len(set(ids)) != len(ids):
                raise UserError(f"the {name} split has {len(ids):,} items with {len(set(ids)):,} different ids")
            write_manifest(path, modality, items)
            files[path.name] = {"items": len(ids), "sha256": file_sha256(path)}
        return files

    return _write_folder(Path(out), write, {**meta, "modality": modality})


def _write_folder(out: Path, write: Callable[[Path], dict[str, dict]], meta: dict) -> Path:
    """The folder ``out`` with what ``write`` puts there and tells of each file, all or nothing."""
    if out.exists() and not (out / "manifest.json").is_file() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists and is not a prepared corpus: choose another --out, or delete it")
    partial, old = out.with_name(out.name + ".partial"), out.with_name(out.name + ".old")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        manifest = {**meta, "files": write(partial)}
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        (partial / "manifest.json").write_text(text, encoding="utf-8")
        shutil.rmtree(old, ignore_errors=True)
        if out.exists():
            out.rename(old)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    return out


def _check(splits: Splits, langs: tuple[str, str], exact: Collection[str]) -> None:
    """Nothing goes to a file that would be read back as something else."""
    if langs[0] == langs[1]:
        raise UserError(f"source and target language must differ, got {langs[0]} twice")
    for name, pairs in splits.items():
        if not pairs:
            raise UserError(f"the {name} split is empty: too little data, or too much of it filtered")
        for number, pair in enumerate(pairs, start=1):
            for lang, text in zip(langs, pair, strict=True):
                line = text.splitlines()[:1] if lang in exact else [" ".join(text.split())]
                if not text.strip() or [text] != line:
                    raise UserError(f"{name}.{lang}, line {number}: empty or with stray space: {text!r}")


# --- the command line of a recipe -------------------------------------------------------------------------


def default_cache() -> Path:
    """Where downloads are kept: ``$S2S_CACHE``, else ``s2s_plugin`` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("S2S_CACHE") or Path(base) / "s2s_plugin")


def recipe_parser(description: str | None, src: str, tgt: str) -> argparse.ArgumentParser:
    """The options that every recipe has; ``src`` and ``tgt`` are the default languages."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, required=True, help="folder for the corpus")
    parser.add_argument("--src", default=src, help="source language (default: %(default)s)")
    parser.add_argument("--tgt", default=tgt, help="target language (default: %(default)s)")
    cache = default_cache()
    parser.add_argument("--cache", type=Path, default=cache, help="for downloads (default: %(default)s)")
    parser.add_argument("--from", dest="from_dir", type=Path, metavar="FOLDER", help="where the data is")
    return parser


def add_shares(parser: argparse.ArgumentParser, of: str, valid: float, test: float) -> None:
    """The options of a recipe that holds out fractions ``of`` something; ``valid`` and ``test`` are the defaults."""
    for name, share in (("--valid", valid), ("--test", test)):
        parser.add_argument(name, type=float, default=share, help=f"fraction of {of} (%(default)s)")


def run_recipe(prepare: Callable[..., Path], parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> int:
    """Parse, run ``prepare(**options)``, say what was made; exit code 2 and one line on a user's mistake."""
    options = parser.parse_args(argv)
    try:
        out = prepare(**vars(options))
    except UserError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    files = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["files"]
    for name, entry in files.items():
        unit = "items" if "items" in entry else "lines"
        print(f"{out / name}: {entry[unit]:,} {unit}")
    return 0
