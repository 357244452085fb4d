"""``s2s list``: apps, corpora, models, attentions, experiments, and the runs below the current folder."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from s2s_plugin.cli.config import CONFIG_DIR, config_folders
from s2s_plugin.errors import UserError
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.models.attention import ATTENTIONS
from s2s_plugin.report.measures import named_value
from s2s_plugin.utils.console import WIDTH
from s2s_plugin.utils.io import NUMBER, read_json

GROUPS = {"apps": "app", "corpora": "data", "models": "model", "experiments": "experiment"}
TOPICS = ("apps", "corpora", "models", "attentions", "experiments", "runs")


def run(words: Sequence[str]) -> int:
    """Print one topic, or all of them.

    Raises:
        UserError: there is no such topic.
    """
    topics = [word for word in words if not word.startswith(CONFIG_DIR)]
    for word in topics:
        if word not in TOPICS:
            raise UserError(f"s2s list has no topic {word}; there are: {', '.join(TOPICS)}")
    folders = config_folders(words)
    print("\n\n".join("\n".join(_section(topic, folders)) for topic in topics or TOPICS))
    return 0


def _section(topic: str, folders: Sequence[Path]) -> list[str]:
    if topic == "runs":
        rows = run_rows(Path("runs"))
        return ["runs", *(table(rows) if rows else ["  none below runs/; start one with s2s run app=nmt"])]
    if topic == "attentions":  # those of common.user_dir too
        rows = [(f"model.attention={name}", _summary(kind)) for name, kind in ATTENTIONS.items()]
        return [topic, *table(rows)]
    group = GROUPS[topic]
    paths = [path for folder in folders for path in sorted((folder / group).glob("*.yaml"))]
    rows = [(f"{group}={path.stem}", description(path)) for path in paths]
    return [topic, *table(rows)]


def _summary(kind: type) -> str:
    """Return the first paragraph of a class's docstring, without reST's marks of code; else where it is."""
    return inspect.cleandoc(kind.__doc__ or f"{kind.__module__}.{kind.__name__}").partition("\n\n")[0].replace("``", "")


def description(path: Path) -> str:
    """Return the comment at the head of a file of ``conf/``, without its package and command."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith(("# @", "# s2s ")):
            lines.append(line.removeprefix("#").strip())
    return " ".join(lines)


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Align rows by columns; the last column is wrapped at 80 characters."""
    widths = [max(map(len, column)) + 2 for column in list(zip(*rows, strict=True))[:-1]]
    start = 2 + sum(widths)
    lines = []
    for *cells, last in rows:
        left = "  " + "".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True))
        wrapped = textwrap.wrap(last, max(WIDTH - start, 20)) or [""]
        lines += [f"{left}{wrapped[0]}".rstrip(), *(f"{'':{start}}{line}" for line in wrapped[1:])]
    return lines


def run_rows(folder: Path) -> list[tuple[str, ...]]:
    """Return name, state, date, corpus and first score of each run below ``folder``, the newest last."""
    files = (path for name in ("log.txt", "imported.json") for path in folder.glob(f"*/*/{name}"))
    return sorted(map(_run_row, {path.parent for path in files}), key=lambda row: row[2])


def _run_row(folder: Path) -> tuple[str, ...]:
    run = RunDir(folder)
    states = ((run.report, "complete"), (run.scores, "scored"), (run.generation_info, "generated"),
              (run.training_result, "trained"), (run.checkpoints / "checkpoint_last.pt", "in training"),
              (run.origin, "imported"))  # fmt: skip
    state = next((state for path, state in states if path.is_file()), "started")
    newest = max(path.stat().st_mtime for path in folder.iterdir())
    corpus = score = ""
    try:
        settings = run.read_settings()
        corpus = (
            run.read_origin() or settings.get("corpus") or Path(settings.get("task.data", "")).name.partition(".")[0]
        )
        score = _score(run)
    except UserError:  # the other runs are listed all the same
        state = "damaged"
    return str(folder), state, f"{datetime.fromtimestamp(newest):%Y-%m-%d %H:%M}", corpus, score


def _score(run: RunDir) -> str:
    """Return the first metric of the scores, else the best validation metric."""
    if scores := read_json(run.scores, {"metrics": {str: {"score": NUMBER}}}):
        return next((f"{name} {value['score']:.2f}" for name, value in scores["metrics"].items()), "")
    best = (read_json(run.training_result, {"best": (*NUMBER, type(None))}) or {}).get("best")
    if best is None:
        return ""
    return f"valid {named_value(run.read_settings().get('checkpoint.best_checkpoint_metric', 'loss'), best)}"
