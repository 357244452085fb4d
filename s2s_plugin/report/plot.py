"""Everything that touches matplotlib's set-up: imported when first needed, Agg only, no pyplot."""

from __future__ import annotations

import io
import logging
import warnings
from typing import TYPE_CHECKING

from s2s_plugin.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1d2430"
QUIET = "#6b7483"
RULE = "#e3e6eb"
ACCENT = "#2558c9"
SECOND = "#b3661a"
SERIES_COLOURS = (QUIET, ACCENT, SECOND, "#2f7d5b", "#8a4a9e")


def require_matplotlib() -> None:
    """Say how to install matplotlib where it is missing, and keep its debug messages out of the log."""
    for name in ("matplotlib", "PIL"):  # importing fairseq turns on debug messages for every library
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UserError("the report needs matplotlib, which is not installed: pip install 's2s-plugin[viz]'") from None


def new_figure(width: float, height: float) -> Figure:
    """An empty white figure of ``width`` by ``height`` inches."""
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=160, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def tidy(axes: Axes, title: str, xlabel: str) -> None:
    """The house style: title at the left, thin rules, no box."""
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK, parse_math=False)
    axes.set_xlabel(xlabel, fontsize=9, color=QUIET)
    axes.tick_params(labelsize=9, colors=QUIET, length=0)
    axes.grid(axis="y", color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(RULE)


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG file. Characters that no font has are the caller's to report, not a warning."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="png", metadata={"Software": None}, bbox_inches="tight", pad_inches=0.14)
    return buffer.getvalue()
