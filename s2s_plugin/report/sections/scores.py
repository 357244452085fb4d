"""A card for each metric, and a table of the translation directions."""

from __future__ import annotations

from s2s_plugin.report.markup import Section, missing, render
from s2s_plugin.report.run import RunData


def scores_section(run: RunData) -> Section:
    """Show each score with its interval, baselines and signature."""
    if not run.scores.get("metrics"):
        return Section("scores", "Scores", missing("scores.json", "score", "the scores"))
    directions = run.scores.get("directions") or {}
    # perplexity is of all directions together
    metrics = list(next(iter(directions.values()))["metrics"]) if directions else []
    body = render(
        "sections/scores.html.j2",
        cards=run.scores["metrics"],
        baselines=run.scores.get("baselines") or {},
        directions=directions,
        metrics=metrics,
    )
    return Section("scores", "Scores", body)
