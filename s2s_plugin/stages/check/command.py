"""The command: read the corpus, find what there is, print it, write the copy."""

from __future__ import annotations

import json
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from s2s_plugin.checking import findings, whole
from s2s_plugin.checking.cleaned import check_destination, write_cleaned
from s2s_plugin.checking.corpus import PREFIXES, files_of, is_signal, locate, read_corpus
from s2s_plugin.checking.losses import PairLoss, find_high_losses
from s2s_plugin.checking.scan import Scan
from s2s_plugin.errors import UserError
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.utils.console import clock, note, route_logs, say

SAME_LANGUAGE = 0.05  # share of copies among the pairs, from which copies are what the corpus is about
GROUPS = {"errors": findings.ERROR, "warnings": findings.WARNING}


def check(cfg: DictConfig) -> None:
    """Check the corpus of the config, print what is found, and write the copy if its folder is set.

    Raises:
        UserError: the corpus cannot be read, or an option is wrong.
    """
    route_logs(None, cfg.verbose)
    kinds = kinds_to_remove(cfg.check.remove)
    if cfg.check.examples < 0:
        raise UserError(f"check.examples must be at least 0, got {cfg.check.examples}")
    if cfg.check.write is not None:
        check_destination(Path(cfg.check.write))
    loss = None if cfg.check.run is None else _loss(cfg)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="s2s-check-") as work:
        cfg = locate(cfg, Path(work))
        scan = Scan(Path(work), is_signal(cfg), exact=cfg.subword.lossless)
        try:
            result = _examine(cfg, scan, loss)
            print(
                json.dumps(result.as_data(), ensure_ascii=False)
                if cfg.check.json
                else "\n".join(findings.lines(result))
            )
            if cfg.check.write is not None:
                notes = [each.kind for each in result.findings if each.severity == findings.NOTE]
                kinds = [kind for kind in kinds if kind not in notes or kind in cfg.check.remove]
                kept, gone = write_cleaned(cfg, scan.index, kinds, Path(cfg.check.write))
                note(f"{cfg.check.write}: {kept:,} training pairs kept, {gone:,} left out, listed in removed.tsv")
        except sqlite3.OperationalError as error:
            raise UserError(f"{work}: {error}; set TMPDIR=FOLDER to where there is space") from None
        finally:
            scan.index.close()
    say(f"      check: {clock(time.monotonic() - started)}")


def _examine(cfg: DictConfig, scan: Scan, loss: PairLoss | None) -> findings.Result:
    """Read the corpus, and find all there is to find."""
    scan.read(read_corpus(cfg))
    index, unchecked = scan.index, scan.unchecked
    whole.find_duplicates(index)
    whole.find_leaks(index)
    usual = whole.find_foreign(index, unchecked)
    if not scan.signal:
        whole.find_near(index, scan.near, scan.training)
        whole.find_lengths(index, unchecked)
        whole.find_several(index)
    if loss is not None:
        find_high_losses(index, loss)
    copies = index.value("SELECT count(*) FROM finding WHERE kind IN ('copy', 'same')")
    found = findings.collect(index, cfg.check.examples, same_language=copies > SAME_LANGUAGE * scan.count)
    counts = index.rows("SELECT split, count(*) FROM row GROUP BY split ORDER BY min(id)")
    splits = {
        split: (count, [index.shown(path) for paths in files_of(cfg, PREFIXES[split]) for path, _ in paths])
        for split, count in counts
    }
    held_out = any(split in splits for split in ("valid", "test"))
    if not held_out:
        unchecked.append("leaks: there are no held-out files; what prepare holds out does not leak")
    if loss is None:
        unchecked.append("loss, which requires check.run=RUN")
    skipped = (() if held_out else findings.LEAKS) + (findings.OF_TEXT if scan.signal else ())
    checked = [kind for kind in findings.CHECKS if kind not in skipped and (kind != "loss" or loss is not None)]
    return findings.Result(splits, usual, found, checked, unchecked)


def kinds_to_remove(names: Sequence[str]) -> list[str]:
    """Return the kinds of findings that ``check.remove`` names, in the order of ``CHECKS``.

    Raises:
        UserError: there is no such finding.
    """
    for name in names:
        if name not in (*GROUPS, *findings.CHECKS):
            known = ", ".join((*GROUPS, *findings.CHECKS))
            raise UserError(f"check.remove must be among {known}, got {name}")
    severities = [GROUPS[name] for name in names if name in GROUPS]
    return [kind for kind, each in findings.CHECKS.items() if kind in names or each.severity in severities]


def _loss(cfg: DictConfig) -> PairLoss:
    run = RunDir(Path(cfg.check.run))
    if not run.config.is_file():
        raise UserError(f"{run.folder}: not the folder of a run such as runs/nmt/default")
    if not run.data.is_dir():
        raise UserError(f"{run.data}: missing; run its train stage first")
    return PairLoss(run.best_checkpoint(), run.data, cfg.common.cpu)
