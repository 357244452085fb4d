"""The user's own pairs of text, and what of them is held out."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from s2s_plugin.corpora import dialogues as dialogue
from s2s_plugin.corpora import directions
from s2s_plugin.corpora import splits as corpus
from s2s_plugin.corpora.lines import read_parallel, skips_bad
from s2s_plugin.errors import UserError
from s2s_plugin.utils.console import say


def own_splits(cfg: DictConfig, shared: str | None = None) -> corpus.Splits:
    """The user's pairs, with held-out sets taken from the training files where none are given."""
    splits: corpus.Splits = {}
    for split, prefix in (("train", ""), ("valid", "valid_"), ("test", "test_")):
        if pairs := _own_pairs(cfg, prefix):
            splits[split] = pairs
    given = [pair for split in ("valid", "test") for pair in splits.get(split, [])]
    kept = _without_leaks(cfg, splits["train"], given)
    if leaks := len(splits["train"]) - len(kept):
        say(f"      {leaks:,} training pairs have a side in your own held-out files: scores on these will flatter")
    missing = [split for split in ("valid", "test") if split not in splits]
    if missing:
        pairs = corpus.dedup(splits["train"])
        share = min(cfg.data.held_out / len(pairs), 0.1)
        if cfg.data.shared_targets:
            parts = dialogue.split_by_question(((dialogue.question_key(pair[0]), pair) for pair in pairs), share, share)
        else:
            held_by = {None: slice(2), cfg.data.source_lang: slice(1), cfg.data.target_lang: slice(1, 2)}[shared]
            parts = corpus.split_by_group((("\t".join(pair[held_by]), pair) for pair in pairs), share, share)
        for split in ("valid", "test"):
            if split not in missing:
                parts["train"] += parts.pop(split)  # the user's own file serves
        splits |= parts
        if not all(splits.values()):
            raise UserError(
                f"{cfg.data.source}: {len(pairs):,} different pairs are too few to hold some out; "
                "give more, or data.valid_source, data.valid_target, data.test_source and data.test_target"
            )
    return splits


def _own_pairs(cfg: DictConfig, prefix: str) -> list[corpus.Pair]:
    """Of the files ``data.<prefix>source`` and ``data.<prefix>target``, if they are given."""
    skip = skips_bad(cfg.data)
    files = cfg.data[f"{prefix}source"], cfg.data[f"{prefix}target"]
    if None in files:
        if files != (None, None):
            raise UserError(f"data.{prefix}source and data.{prefix}target go together: give both or neither")
        return []
    pairs, skipped = read_parallel(Path(files[0]), Path(files[1]), skip)
    if skipped:
        say(f"      {files[0]}: {skipped:,} unusable pairs left out")
    if cfg.subword.lossless:
        return pairs
    return corpus.clean_pairs(pairs, plain_quotes=False)


def _without_leaks(cfg: DictConfig, pairs: list[corpus.Pair], held_out: list[corpus.Pair]) -> list[corpus.Pair]:
    """The pairs that share no side with a held-out pair; where targets may be shared, no question."""
    return (dialogue.without_questions if cfg.data.shared_targets else corpus.without_leaks)(pairs, held_out)


def extra_pairs(cfg: DictConfig, held_out: list[corpus.Pair]) -> list[corpus.Pair]:
    """Further pairs for training, none of which has a side in a held-out set."""
    several, found = bool(directions.tags(cfg)), []
    if several:
        held_out = [(directions.untagged(source), target) for source, target in held_out]
    for part in directions.extra(cfg):
        pairs = _own_pairs(part, "extra_")
        kept = _without_leaks(cfg, pairs, held_out)
        if pairs:
            left = len(pairs) - len(kept)
            say(f"      {len(kept):,} further pairs to train on; {left:,} left out, held out elsewhere")
        to = part.data.target_lang if several else None
        found += [(directions.tagged(source, to), target) for source, target in kept]
    return found
