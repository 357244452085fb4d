"""The page of a training, drawn from what its run folder has."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.live.machine import machine_use
from s2s_plugin.live.samples import Sampler
from s2s_plugin.report.drawing.attention import MAX_TOKENS, draw
from s2s_plugin.report.drawing.style import to_png
from s2s_plugin.report.log import Curves, read_curves
from s2s_plugin.report.measures import named_value
from s2s_plugin.report.page import duration, make_environment
from s2s_plugin.report.sections.curves import HIGHER, Panel, describe_panels, make_panels
from s2s_plugin.report.sections.examples import MAX_CELLS, highlight

RECENT = 20  # records from which the time that is left is estimated
SHOWN = 6  # outputs of an item


class Page:
    """The page of one run; parts that cost time are drawn when they have changed.

    Attributes:
        ended: whether the training has.
    """

    def __init__(self, run: RunDir, options: Mapping[str, Any], sampler: Sampler):
        """Draw the run with this config and these samples."""
        self.run, self.options, self.sampler = run, options, sampler
        self.environment = make_environment(__package__)
        self.environment.globals["own_style"] = files(__package__).joinpath("live.css").read_text(encoding="utf-8")
        self.ended = False
        self._curves: tuple[Any, Curves, Markup] | None = None
        self._pictures: dict[tuple[int, int], bytes] = {}  # of the attention shown last, by updates and item

    def render(self, at: int | None = None) -> str:
        """Return the page as HTML; ``at``: number of the samples to show, from 1, the latest by default."""
        curves, drawn = self._draw_curves()
        template = self.environment.get_template("live.html.j2")
        return template.render(
            options=self.options,
            ended=self.ended,
            progress=self._progress(curves),
            facts=self._facts(curves),
            curves=drawn,
            problem=self.sampler.problem,
            **self._samples(at),
        )

    def _draw_curves(self) -> tuple[Curves, Markup]:
        try:
            state = self.run.log.stat()
            key = state.st_size, state.st_mtime_ns
        except OSError:
            key = 0, 0
        if self._curves is None or self._curves[0] != key:
            curves = read_curves(self.run.log)
            panels = make_panels(curves)
            if rates := curves.pace["lr"]:
                points = [(float(updates), rate) for updates, rate in sorted(rates.items())]
                panels.append(Panel("Learning rate", {"train": points}, None))
            values = {"panels": panels, "measures": describe_panels(panels, self.options), "pictures": {}}
            template = self.environment.get_template("sections/curves.html.j2")
            self._curves = key, curves, Markup(template.render(values=values)) if panels else Markup()  # noqa: S704
        return self._curves[1:]

    def _progress(self, curves: Curves) -> float | None:
        """Return the part of the training that is done, in [0, 1]; None without a limit."""
        return min(1.0, _updates(curves) / limit) if (limit := self._max_update()) else None

    def _max_update(self) -> int:
        return int((self.options.get("optimization") or {}).get("max_update") or 0)

    def _facts(self, curves: Curves) -> dict[str, str]:
        updates, limit, pace = _updates(curves), self._max_update(), curves.pace
        facts = {"Updates": f"{updates:,}" + (f" of {limit:,}" if limit else "")}
        facts["Epochs"] = f"{curves.passes:.1f}"
        if pace["wall"]:
            facts["Time"] = duration(max(pace["wall"].values()))
        if not self.ended and (seconds := seconds_left(curves, limit)) is not None:
            end = datetime.now() + timedelta(seconds=seconds)
            facts["Left"] = f"about {duration(seconds)}, until {end:%H:%M}"
        if curves.train:
            facts["Loss"] = f"{curves.train[max(curves.train)]:.2f} bits"
        metric = str(self.options.get("checkpoint_metric") or "loss")
        if valid := next(iter(curves.valid.get(metric, {}).values()), None):
            best = (max if HIGHER.get(metric) else min)(valid.values())
            facts["Validation"] = f"best {named_value(metric, best)}"
        for name, key, form in (
            ("Learning rate", "lr", "{:.3g}"),
            ("Speed", "wps", "{:,.0f} tokens/s"),
            ("Gradient norm", "gnorm", "{:.2f}"),
        ):
            if pace[key]:
                facts[name] = form.format(pace[key][max(pace[key])])
        return facts | machine_use()

    def _samples(self, at: int | None) -> dict[str, Any]:
        snapshots = self.sampler.snapshots
        number = len(snapshots) if at is None else min(max(1, at), len(snapshots))
        chosen = [snapshots[place] for place in _spread(number, SHOWN)]
        items = [each.attention for each in chosen[-1].samples] if chosen else []
        drawn = {
            (chosen[-1].updates, item.id): item
            for item in items
            if item is not None and (item.modality != "text" or item.attention.size > MAX_CELLS)
        }
        self._pictures = {key: self._pictures.get(key) or to_png(draw(item)) for key, item in drawn.items()}
        return {
            "count": len(snapshots),
            "at": number,
            "snapshots": chosen,
            "pictures": {item: picture for (_, item), picture in self._pictures.items()},
            "highlight": highlight,
            "limits": {"cells": MAX_CELLS, "tokens": MAX_TOKENS},
        }


def seconds_left(curves: Curves, limit: int) -> float | None:
    """Return how long the training needs for ``limit`` updates, at its pace so far; None if that is not known."""
    walls = sorted(curves.pace["wall"].items())[-RECENT:]
    if not limit or len(walls) < 2 or walls[-1][1] <= walls[0][1]:
        return None
    seconds = (walls[-1][1] - walls[0][1]) / (walls[-1][0] - walls[0][0])
    return max(0, limit - walls[-1][0]) * seconds


def _updates(curves: Curves) -> int:
    return max([0, *curves.inner, *curves.epochs])


def _spread(count: int, number: int) -> list[int]:
    """Return at most ``number`` evenly spaced indices of a list, with the first and the last."""
    if count <= number:
        return list(range(count))
    return [place * (count - 1) // (number - 1) for place in range(number)]
