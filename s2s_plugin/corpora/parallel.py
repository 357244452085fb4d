"""Read the user's own text, pairs or conversations, with errors by file and line, and hold some of it out."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from s2s_plugin.corpora import directions, tables
from s2s_plugin.corpora.cleaning import Pair, clean_pairs, clean_text
from s2s_plugin.corpora.dialogues import check_history, exchanges, question_key, split_by_question, without_questions
from s2s_plugin.corpora.own_files import table_hint
from s2s_plugin.corpora.splits import SPLITS, Splits, dedup, split_by_group, without_leaks
from s2s_plugin.errors import UserError
from s2s_plugin.text.retrieval import TURN
from s2s_plugin.utils.compression import open_binary
from s2s_plugin.utils.console import say

MAX_LINE = 20_000  # characters; a longer line is a sign of a broken file
MAX_NAMED = 5  # unusable lines
MAX_HELD_OUT = 0.1  # of the training pairs, for valid and for test each
PREFIXES = {"train": "", "valid": "valid_", "test": "test_"}
Side = list[str | UserError]  # of pairs; an unusable line is the error that it is
LINE_ENDS = {"\0": "NUL", "\u2028": "U+2028", "\u2029": "U+2029", "\u0085": "U+0085"}


def skips_bad(data: DictConfig) -> bool:
    """Return whether unusable lines and media are skipped; raise UserError for an unknown ``data.on_bad_item``."""
    if data.on_bad_item not in ("error", "skip"):
        raise UserError(f"data.on_bad_item must be error or skip, got {data.on_bad_item}")
    return data.on_bad_item == "skip"


def read_lines(path: Path, empty_lines: bool = False) -> list[str | UserError]:
    """Return the lines of a UTF-8 file without their ends; in the place of an unusable line, its error.

    Raises:
        UserError: the file is missing, unreadable or empty.
    """
    with open_binary(path) as file:
        raw = file.read()
    if not raw.strip():
        raise UserError(f"{path}: the file is empty; it must hold one sentence per line")
    lines = raw.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    numbered = enumerate(lines, start=1)
    return ["" if empty_lines and not line.strip() else _check_line(f"{path}:{n}", line) for n, line in numbered]


def _check_line(where: str, raw: bytes) -> str | UserError:
    try:
        line = raw.decode("utf-8").rstrip("\r")
    except UnicodeDecodeError as error:
        return UserError(f"{where}: byte {error.start + 1} is not UTF-8; convert the file, e.g. with iconv")
    if not line.strip():
        return UserError(f"{where}: the line is empty; every line must hold a sentence")
    for character, name in LINE_ENDS.items():
        if character in line:
            return UserError(f"{where}: contains {name}, a line end to some tools; delete it")
    if len(line) > MAX_LINE:
        return UserError(f"{where}: a line must have at most {MAX_LINE:,} characters, got {len(line):,}; split it")
    return line


def _read_pairs(cfg: DictConfig, prefix: str) -> list[Pair]:
    """Return the pairs of ``data.<prefix>pairs``, or of ``data.<prefix>source`` and its target, if they are set."""
    sources, targets, names = _read_sides(cfg, prefix)
    if len(sources) != len(targets):
        lengths = f"{names[0]} has {len(sources):,} lines but {names[1]} has {len(targets):,}"
        raise UserError(f"{lengths}: line n of one must translate line n of the other; find where they diverge")
    if not names:
        return []
    skip_bad, pairs, skipped = skips_bad(cfg.data), [], []
    for pair in zip(sources, targets, strict=True):
        bad = next((side for side in pair if isinstance(side, UserError)), None)
        if bad is None:
            pairs.append((str(pair[0]), str(pair[1])))
        elif skip_bad:
            skipped.append(str(bad).partition(": ")[0])  # file:line
        else:
            raise UserError(f"{bad}; or skip such pairs with data.on_bad_item=skip")
    if not pairs:
        raise UserError(f"{names[0]}: none of {len(sources):,} pairs is usable")
    if all(source == target for source, target in pairs):
        raise UserError(f"{names[0]}: the source and the target must differ, got the same {len(pairs):,} lines twice")
    if skipped:
        some = ", ".join(skipped[:MAX_NAMED]) + (", ..." if len(skipped) > MAX_NAMED else "")
        say(f"      {names[0]}: {len(skipped):,} unusable pairs skipped: {some}")
    return pairs if cfg.subword.lossless else clean_pairs(pairs, plain_quotes=False)


def _read_sides(cfg: DictConfig, prefix: str) -> tuple[Side, Side, list[str]]:
    """Return the sources, the targets, and the files that they are from: one table, two files, or none."""
    sources: Side = []
    targets: Side = []
    if (table := tables.find(cfg.data, prefix)) is not None:
        for where, cells in tables.read_pairs(cfg.data, table, keep_line_breaks=cfg.subword.lossless):
            for side, cell in zip((sources, targets), cells, strict=True):
                if isinstance(cell, str):
                    cell = _check_line(where, cell.encode("utf-8", "surrogatepass"))
                side.append(cell)
        return sources, targets, [str(table.files[0])] * 2
    files = [cfg.data[f"{prefix}source"], cfg.data[f"{prefix}target"]]
    if files == [None, None]:
        return [], [], []
    if None in files:
        raise UserError(f"data.{prefix}source requires data.{prefix}target, and vice versa: set both or neither")
    for file in files:
        if hint := table_hint(Path(file)):
            say(f"      {hint}")
    sources, targets = (read_lines(Path(file)) for file in files)
    return sources, targets, files


def read_conversations(path: Path) -> list[list[str]]:
    """Return the conversations of a text file: one turn per line, an empty line between conversations."""
    blocks: list[list[str]] = [[]]
    for number, line in enumerate(read_lines(path, empty_lines=True), start=1):
        if isinstance(line, UserError):
            raise line
        turn = clean_text(line, plain_quotes=False)
        if TURN in turn:
            raise UserError(f"{path}:{number}: contains {TURN}, which separates turns; write one turn per line")
        if turn:
            blocks[-1].append(turn)
        elif blocks[-1]:
            blocks.append([])
    conversations = [turns for turns in blocks if len(turns) > 1]
    if not conversations:
        raise UserError(f"{path}: no conversation of two turns; write one turn per line, and an empty line between two")
    return conversations


def own_splits(cfg: DictConfig, shared: str | None = None) -> Splits:
    """Return the user's pairs, with held-out sets taken from the training files where none are set.

    ``shared``: the language whose sentences alone decide what is held out; None: both sides do.
    """
    groups: list[str] = []
    if cfg.data.dialogues is None:
        splits = {split: pairs for split, prefix in PREFIXES.items() if (pairs := _read_pairs(cfg, prefix))}
    else:
        splits, groups = _read_dialogues(cfg.data)
    missing = [split for split in SPLITS if split not in splits]
    held_out = [pair for split in SPLITS[1:] for pair in splits.get(split, [])]
    if leaks := len(splits["train"]) - len(_without_leaks(cfg, splits["train"], held_out)):
        say(f"      {leaks:,} training pairs overlap your own held-out files: scores will be inflated by leakage")
    splits |= _hold_out(cfg, splits["train"], groups, missing, shared)
    if not all(splits.values()):
        remedy = "add more, or set held-out files of your own (data.valid_* and data.test_*)"
        file = cfg.data.dialogues or cfg.data.pairs or cfg.data.source
        raise UserError(f"{file}: too few different pairs to hold some out; {remedy}")
    return splits


def _read_dialogues(data: DictConfig) -> tuple[Splits, list[str]]:
    """Return the pairs of the user's conversations, and the first question of each training pair's conversation."""
    check_history(data.history)
    files = {split: data[f"{prefix}dialogues"] for split, prefix in PREFIXES.items()}
    talks = {split: read_conversations(Path(file)) for split, file in files.items() if file is not None}
    groups = [question_key(turns[0]) for turns in talks["train"] for _ in turns[1:]]
    pairs = {name: [p for turns in talk for p in exchanges(turns, data.history)] for name, talk in talks.items()}
    return pairs, groups


def _hold_out(
    cfg: DictConfig, train: list[Pair], groups: list[str], missing: list[str], shared: str | None
) -> dict[str, list[Pair]]:
    """Return the splits that are ``missing``, taken from ``train``, and what is left of it."""
    if groups:
        fraction = min(cfg.data.held_out / len(train), MAX_HELD_OUT)
        fractions = {split: fraction if split in missing else 0.0 for split in SPLITS[1:]}
        parts = split_by_question(zip(groups, train, strict=True), **fractions)
        return {split: parts[split] for split in ("train", *missing)}
    if not missing:
        return {}
    pairs = dedup(train)
    fraction = min(cfg.data.held_out / len(pairs), MAX_HELD_OUT)
    if cfg.data.shared_targets:
        parts = split_by_question(((question_key(pair[0]), pair) for pair in pairs), fraction, fraction)
    else:
        sides = {None: slice(2), cfg.data.source_lang: slice(1), cfg.data.target_lang: slice(1, 2)}[shared]
        parts = split_by_group((("\t".join(pair[sides]), pair) for pair in pairs), fraction, fraction)
    for split in SPLITS[1:]:
        if split not in missing:
            parts["train"] += parts.pop(split)  # the user's own file takes its place
    return parts


def _without_leaks(cfg: DictConfig, pairs: list[Pair], held_out: list[Pair]) -> list[Pair]:
    """Return the pairs that share no side with a held-out pair; where replies may be shared, no question."""
    if cfg.data.shared_targets or cfg.data.dialogues is not None:
        return without_questions(pairs, held_out)
    return without_leaks(pairs, held_out)


def extra_pairs(cfg: DictConfig, held_out: list[Pair]) -> list[Pair]:
    """Return the user's extra training pairs, without those that have a side in a held-out set."""
    extra: list[Pair] = []
    if several := bool(directions.tags(cfg)):
        held_out = [(directions.untagged(source), target) for source, target in held_out]
    for part in directions.extra(cfg):
        pairs = _read_pairs(part, "extra_")
        kept = _without_leaks(cfg, pairs, held_out)
        if pairs:
            say(f"      {len(kept):,} extra training pairs kept, {len(pairs) - len(kept):,} held-out ones discarded")
        to = part.data.target_lang if several else None
        extra += [(directions.tagged(source, to), target) for source, target in kept]
    return extra
