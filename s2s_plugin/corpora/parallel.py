"""Read the user's own text, pairs or conversations, with errors by file and line, and hold some of it out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from omegaconf import DictConfig

from s2s_plugin.corpora import directions, tables
from s2s_plugin.corpora.cleaning import Pair, clean_text
from s2s_plugin.corpora.dialogues import check_history, exchanges, question_key, split_by_question, without_questions
from s2s_plugin.corpora.holding_out import MAX_HELD_OUT, hold_out
from s2s_plugin.corpora.lines import EMPTY, UNUSABLE, Side, check_line, checked_lines, count_lines, read_lines
from s2s_plugin.corpora.own_files import table_hint
from s2s_plugin.corpora.splits import SPLITS, Splits, dedup, without_leaks
from s2s_plugin.corpora.tally import OwnPair, Tally, missing
from s2s_plugin.errors import UserError
from s2s_plugin.text.escape import to_line
from s2s_plugin.utils.console import note

# what some tool takes for the end of a line or of a text; kept by an escape where every character counts
LINE_BREAK = re.compile("[\0\r\v\f\x1c-\x1e\x85\u2028\u2029]")
DUPLICATES = "duplicate (case, spaces and punctuation aside)"
OVERLAP = "with a side that is held out"


def skips_bad(data: DictConfig) -> bool:
    """Return whether unusable lines and media are skipped; raise UserError for an unknown ``data.on_bad_item``."""
    if data.on_bad_item not in ("error", "skip"):
        raise UserError(f"data.on_bad_item must be error or skip, got {data.on_bad_item}")
    return data.on_bad_item == "skip"


def _read_pairs(cfg: DictConfig, prefix: str, tally: Tally) -> list[Pair]:
    """Return the pairs of ``data.<prefix>pairs``, or of ``data.<prefix>source`` and its target, if they are set.

    Held-out pairs keep their number and order: one with an empty side is kept.
    """
    held_out, skip_bad = prefix in ("valid_", "test_"), skips_bad(cfg.data)
    clean = _exact if cfg.subword.lossless else _clean
    pairs: list[Pair] = []
    read, file = tally.read, ""
    for where, sides in read_rows(cfg, prefix):
        tally.read += 1
        file = file or where.rpartition(":")[0]
        bad = next((side for side in sides if isinstance(side, UserError)), None)
        if bad is not None and not skip_bad:
            raise UserError(f"{bad}; or {'keep' if held_out else 'skip'} such pairs with data.on_bad_item=skip")
        texts = ["" if isinstance(side, UserError) else side for side in sides]
        tally.count_characters([] if cfg.subword.lossless else texts)
        source, target = map(clean, texts)
        pair, reason = OwnPair(source, target, where), EMPTY if bad is None else getattr(bad, "reason", UNUSABLE)
        if source and target:
            pairs.append(pair)
        elif held_out:
            pairs.append(pair)
            tally.blank[reason].append(where)
        else:
            tally.leave_out(reason, [pair])
    if file and not any(source or target for source, target in pairs):
        raise UserError(f"{file}: none of {tally.read - read:,} pairs is usable; nothing is left of their text")
    if pairs and all(source == target for source, target in pairs):
        raise UserError(f"{file}: the source and the target must differ, got the same {len(pairs):,} lines twice")
    return pairs


def read_files(cfg: DictConfig, files: Sequence[str]) -> list[Pair]:
    """Return the pairs of a table, or of a file of sources and one of targets.

    Raises:
        UserError: there are more files, or one is unusable.
    """
    if len(files) > 2:
        raise UserError(f"one table, or a file of sources and one of targets, is required, got {len(files)} files")
    own, tally = cfg.copy(), Tally()
    own.data.pairs, own.data.source, own.data.target = None, None, None
    own.data.update(dict(zip(("source", "target"), files, strict=True)) if len(files) == 2 else {"pairs": files[0]})
    pairs = _read_pairs(own, "", tally)
    tally.say(len(pairs))
    return pairs


def _clean(text: str) -> str:
    return clean_text(text, plain_quotes=False)


def _exact(text: str) -> str:
    """Return lossless text as one line."""
    return LINE_BREAK.sub(lambda match: to_line(match[0]), text)


def read_rows(cfg: DictConfig, prefix: str) -> Iterator[tuple[str, list[Side]]]:
    """Yield where a pair is, ``file:line``, and its sides: of one table, of two files, or nothing."""
    if (table := tables.find(cfg.data, prefix)) is not None:
        for where, cells in tables.read_pairs(cfg.data, table, keep_line_breaks=cfg.subword.lossless):
            yield where, [_check_cell(where, cell) for cell in cells]
        return
    files = [cfg.data[f"{prefix}source"], cfg.data[f"{prefix}target"]]
    if files == [None, None]:
        return
    if None in files:
        raise UserError(f"data.{prefix}source requires data.{prefix}target, and vice versa: set both or neither")
    for file in files:
        if hint := table_hint(Path(file)):
            note(hint)
    counts = [count_lines(Path(file)) for file in files]
    if counts[0] != counts[1]:
        lengths = f"{files[0]} has {counts[0]:,} lines but {files[1]} has {counts[1]:,}"
        raise UserError(f"{lengths}: line n of one must translate line n of the other; find where they diverge")
    sources, targets = (read_lines(Path(file)) for file in files)
    for number, sides in enumerate(zip(sources, targets, strict=True), start=1):
        yield f"{files[0]}:{number}", list(sides)


def _check_cell(where: str, cell: Side) -> Side:
    """Return a cell of a table, which may be empty, or the error that it is."""
    return check_line(where, cell.encode("utf-8", "surrogatepass")) if isinstance(cell, str) and cell else cell


def read_conversations(path: Path, tally: Tally) -> list[tuple[int, list[str]]]:
    """Return the conversations of a file, each with the number of its first line.

    There is one turn per line, and an empty line between conversations.
    """
    blocks: list[tuple[int, list[str]]] = []
    inside = False
    for number, line in enumerate(checked_lines(path, empty_lines=True), start=1):
        if isinstance(line, UserError):
            raise line
        turn = _clean(line)
        if line.strip() and not inside:
            blocks.append((number, []))
        if inside := bool(line.strip()):
            tally.count_characters([line])
            blocks[-1][1].append(turn)  # a turn that cleaning empties still counts
    conversations = [block for block in blocks if len(block[1]) > 1]
    if not conversations:
        raise UserError(f"{path}: no conversation of two turns; write one turn per line, and an empty line between two")
    return conversations


def own_splits(cfg: DictConfig, tally: Tally, shared: str | None = None) -> Splits:
    """Return the user's pairs, with held-out sets taken from the training files where none are set.

    ``shared``: the language whose sentences alone decide what is held out; None: both sides do.
    """
    if cfg.data.dialogues is None:
        read = {split: _read_pairs(cfg, prefix, tally) for split, prefix in directions.SPLIT_PREFIXES.items()}
    else:
        check_history(cfg.data.history)
        read = {split: _read_dialogues(cfg.data, prefix, tally) for split, prefix in directions.SPLIT_PREFIXES.items()}
    splits: Splits = {split: pairs for split, pairs in read.items() if pairs}
    unset = [split for split in SPLITS if split not in splits]
    held_out = [pair for split in SPLITS[1:] for pair in splits.get(split, [])]
    splits["train"] = _own_leaks(cfg, splits["train"], held_out, tally)
    splits |= _hold_out(cfg, splits["train"], unset, shared, tally)
    if not all(splits.values()):
        remedy = "add more, or set held-out files of your own (data.valid_* and data.test_*)"
        file = cfg.data.dialogues or cfg.data.pairs or cfg.data.source
        raise UserError(f"{file}: too few different pairs to hold some out; {remedy}")
    for pairs in splits.values():
        tally.keep(pairs)
    return splits


def _own_leaks(cfg: DictConfig, train: list[Pair], held_out: list[Pair], tally: Tally) -> list[Pair]:
    """Say how many training pairs share a side with own held-out pairs; with ``data.drop_overlap`` drop them."""
    clean = _without_leaks(cfg, train, held_out)
    if not (leaks := missing(train, clean)):
        return train
    if cfg.data.drop_overlap:
        tally.leave_out(OVERLAP, leaks)
        return clean
    say_overlap(len(leaks), len(held_out) - len(_without_leaks(cfg, held_out, leaks)), len(held_out))
    return train


def say_overlap(leaks: int, touched: int, held_out: int) -> None:
    """Say how many training pairs overlap own held-out files, and how many held-out lines of all that touches."""
    problem = f"{leaks:,} training pairs overlap your own held-out files ({touched:,} of {held_out:,} lines)"
    note(f"{problem}: scores will be inflated by leakage; data.drop_overlap=true leaves these training pairs out")


def _read_dialogues(data: DictConfig, prefix: str, tally: Tally) -> list[Pair]:
    """Return the pairs of the conversations of ``data.<prefix>dialogues``, if it is set."""
    pairs: list[Pair] = []
    if (file := data[f"{prefix}dialogues"]) is None:
        return pairs
    for first, turns in read_conversations(Path(file), tally):
        for number, (source, target) in enumerate(exchanges(turns, data.history), start=1):
            pair = OwnPair(" ".join(source.split()), target, f"{file}:{first + number}", question_key(turns[0]))
            tally.read += 1
            if not prefix and not (turns[number - 1] and target):
                tally.leave_out(EMPTY, [pair])
                continue
            pairs.append(pair)
            if not (pair[0] and target):
                tally.blank[EMPTY].append(pair.where)
    return pairs


def _hold_out(
    cfg: DictConfig, train: list[Pair], unset: list[str], shared: str | None, tally: Tally
) -> dict[str, list[Pair]]:
    """Return the splits that are ``unset``, taken from ``train``, and what is left of it."""
    if cfg.data.dialogues is None and not unset:
        return {}
    pairs = dedup(train)
    if cfg.data.dialogues is not None:
        fraction = min(cfg.data.held_out / len(train), MAX_HELD_OUT)
        fractions = {split: fraction if split in unset else 0.0 for split in SPLITS[1:]}
        named = [(pair.conversation, pair) for pair in train if isinstance(pair, OwnPair)]
        parts = split_by_question(named, **fractions)
        gone = missing(train, [pair for part in parts.values() for pair in part])
        repeated = missing(gone, pairs)
        tally.leave_out(DUPLICATES, repeated)
        tally.leave_out(OVERLAP, missing(gone, repeated))
        return {split: parts[split] for split in ("train", *unset)}
    tally.leave_out(DUPLICATES, missing(train, pairs))
    sides = {None: None, cfg.data.source_lang: 0, cfg.data.target_lang: 1}
    parts = hold_out(pairs, cfg.data.held_out, 0 if cfg.data.shared_targets else sides[shared])
    for split in SPLITS[1:]:
        if split not in unset:
            parts["train"] += parts.pop(split)  # the user's own file takes its place
    return parts


def _without_leaks(cfg: DictConfig, pairs: list[Pair], held_out: list[Pair]) -> list[Pair]:
    """Return the pairs that share no side with a held-out pair; where replies may be shared, no question."""
    if cfg.data.shared_targets or cfg.data.dialogues is not None:
        return without_questions(pairs, held_out)
    return without_leaks(pairs, held_out)


def extra_pairs(cfg: DictConfig, held_out: list[Pair], tally: Tally) -> list[Pair]:
    """Return the user's extra training pairs, without those that have a side in a held-out set."""
    extra: list[Pair] = []
    if (tag := cfg.data.extra_tag) is not None and len(tag.split()) != 1:
        raise UserError(f"data.extra_tag must be one word, got '{tag}'")
    if several := bool(directions.tags(cfg)):
        held_out = [(directions.untagged(source), target) for source, target in held_out]
    for part in directions.extra(cfg):
        pairs = _read_pairs(part, "extra_", tally)
        kept = _without_leaks(cfg, pairs, held_out)
        if pairs:
            note(f"{len(kept):,} extra training pairs kept, {len(pairs) - len(kept):,} held-out ones discarded")
        tally.leave_out(OVERLAP, missing(pairs, kept))
        tally.keep(kept)
        to = part.data.target_lang if several else None
        origin = "" if tag is None else f"{tag} "
        extra += [(directions.tagged(origin + source, to), target) for source, target in kept]
    return extra
