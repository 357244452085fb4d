"""The page around the sections: header, navigation, style."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from s2s_plugin.report.markup import Section, render
from s2s_plugin.report.run import RunData


def render_page(run: RunData, sections: list[Section]) -> str:
    """Return the whole document. It refers to nothing outside itself, and forbids the browser to."""
    return render(
        "page.html.j2",
        name=str(run.config.get("name") or run.dir.folder.resolve().name),
        app=str(run.config.get("app") or ""),
        style=files(__package__).joinpath("style.css").read_text(encoding="utf-8"),
        facts={key: value for key, value in _facts(run).items() if value},
        sections=sections,
    )


def _facts(run: RunData) -> dict[str, str]:
    """Return what there is to know about the run besides its scores."""
    scores = run.scores
    evaluated = str(scores.get("subset") or "")
    if evaluated and isinstance(scores.get("sentences"), int):
        evaluated += f", {scores['sentences']:,} {'items' if run.from_signals else 'sentences'}"
    seconds, parameters, seed = (scores.get(key) for key in ("train_seconds", "parameters", "seed"))
    return {
        "Data": _data(run.config),
        "Date": f"{run.date.day} {run.date:%B %Y, %H:%M}",
        "Evaluated on": evaluated,
        "Parameters": "" if parameters is None else f"{parameters:,}",
        "Training time": "" if seconds is None else duration(seconds),
        "Precision": str(scores.get("precision") or ""),
        "Search": ", ".join(f"{key} {value}" for key, value in (scores.get("search") or {}).items()),
        "Seed": "" if seed is None else str(seed),
        "Checkpoint": str(scores.get("checkpoint") or ""),
    }


def _data(config: dict[str, Any]) -> str:
    """Return the name of the ``data`` group, else the last part of the path that fairseq reads."""
    data = config.get("data")
    if isinstance(data, dict):
        data = data.get("name")
    if not data and isinstance(config.get("task"), dict):
        data = config["task"].get("data")
    return str(data).rstrip("/").rsplit("/", 1)[-1] if data else ""


def duration(seconds: float) -> str:
    """Format a time: ``10 min 1 s``, ``3 h 20 min``."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minute} min"
    return f"{minute} min {second} s" if minute else f"{second} s"
