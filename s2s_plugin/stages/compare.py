"""``s2s compare RUN RUN ...``: compare finished runs on the same test set, with intervals and a paired test."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from s2s_plugin.errors import UserError
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.scoring import bootstrap
from s2s_plugin.scoring.evaluate import build_filled_scorer, check_metrics
from s2s_plugin.stages.schema import load_config


def run(words: Sequence[str]) -> int:
    """Run ``s2s compare``."""
    parser = argparse.ArgumentParser("s2s compare", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run that has generated")
    parser.add_argument("--metrics", type=lambda text: text.split(","), help="scorers, as s2s_bleu,s2s_chrf")
    parser.add_argument("--direction", metavar="en-de", help="of runs with several directions: only this one")
    options = parser.parse_args(words)
    if len(options.runs) < 2:
        parser.error("at least two runs are required")
    outputs = [read_outputs(folder, options.direction) for folder in options.runs]
    check_same_items(options.runs, outputs)
    config = load_config(RunDir(options.runs[0]).config)
    metrics = options.metrics or list(config.metrics)
    check_metrics(metrics)
    print(f"{len(outputs)} runs over the same {len(outputs[0]):,} items; differences are from the first run")
    for metric in metrics:
        print_metric(metric, options.runs, outputs, config.scoring)
    print(f"\nIntervals hold {bootstrap.LEVEL} % of the resamples; p: two-sided paired test on them (Koehn 2004).")
    print(bootstrap.SIGNATURE)
    return 0


def read_outputs(folder: Path, direction: str | None = None) -> list[dict]:
    """Read reference and hypothesis of each item, or of the items of one direction.

    Raises:
        UserError: there is no such run, no outputs, or no such direction.
    """
    run = RunDir(folder)
    if not run.config.is_file():
        raise UserError(f"{folder}: not the folder of a run such as runs/nmt/default")
    if not run.outputs.is_file():
        raise UserError(f"{folder}: has no outputs to compare; run its generate stage first")
    rows = run.read_outputs()
    known = list(dict.fromkeys(row["direction"] for row in rows if "direction" in row))
    if direction is not None and known:
        if direction not in known:
            raise UserError(f"{folder}: direction must be among {', '.join(known)}, got {direction}")
        rows = [row for row in rows if row["direction"] == direction]
    return rows


def check_same_items(folders: Sequence[Path], outputs: Sequence[list[dict]]) -> None:
    """Raise UserError if the references of two runs differ."""
    hint = "runs compare on the same test set only"
    for folder, rows in zip(folders, outputs, strict=True):
        if len(rows) != len(outputs[0]):
            raise UserError(f"{folders[0]} has {len(outputs[0]):,} items and {folder} {len(rows):,}: {hint}")
        for number, pair in enumerate(zip(outputs[0], rows, strict=True), start=1):
            one, other = (row["reference"] for row in pair)
            if one != other:
                raise UserError(
                    f"{folders[0]} and {folder} have different references, first in item {number:,}: "
                    f"{str(one)[:40]!r} and {str(other)[:40]!r}; {hint}"
                )


def print_metric(metric: str, folders: Sequence[Path], outputs: Sequence[list[dict]], options: DictConfig) -> None:
    """Print the metric with its signature, and a line for each run; ``options`` is fairseq's ``scoring`` group."""
    first = None
    for folder, rows in zip(folders, outputs, strict=True):
        texts, references = [row["hypothesis"] for row in rows], [row["reference"] for row in rows]
        scorer = build_filled_scorer(metric, texts, references, options)
        score, signature = scorer.evaluate()
        resampled = bootstrap.resampled_scores(scorer)
        interval = comparison = ""
        if not scorer.duplicates_bias:
            interval = "[{:.2f}, {:.2f}]".format(*bootstrap.interval(resampled))
        if first is None:
            first = score, resampled
            print(f"\n{scorer.label}{'  (lower is better)' if scorer.higher_is_better is False else ''}  {signature}")
        else:
            comparison = f"{score - first[0]:+.2f}"
            if not scorer.duplicates_bias:
                comparison += f"  p = {bootstrap.p_value(resampled, first[1]):.3f}"
        print(f"  {score:6.2f}  {interval:16}  {comparison:18}  {folder}")
