"""The look of all figures; matplotlib is imported when first needed, without pyplot."""

from __future__ import annotations

import io
import logging
import re
import warnings
from importlib.resources import files
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from markupsafe import Markup

from s2s_plugin.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The page's light colors by their CSS variables; the variables of SVG figures have dark values too.
_LIGHT = files("s2s_plugin.report").joinpath("style.css").read_text(encoding="utf-8").partition("@media")[0]
PALETTE = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", _LIGHT))
VARIABLES = {color: f"var(--{name})" for name, color in PALETTE.items()}
INK, QUIET, RULE, ACCENT = (PALETTE[name] for name in ("ink", "quiet", "rule", "accent"))
SERIES_COLORS = tuple(PALETTE[f"s{number}"] for number in range(5))
WHITE = "#ffffff"


def require_matplotlib() -> None:
    """Raise if matplotlib is not installed, and keep its debug messages out of the log.

    Raises:
        UserError: it is not installed.
    """
    for name in ("matplotlib", "PIL"):  # fairseq's import turns on debug messages of every library
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UserError("the report requires matplotlib: pip install 's2s-plugin[viz]'") from None


def new_figure(width: float, height: float) -> Figure:
    """Return an empty white figure of ``width`` by ``height`` inches."""
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=160, layout="constrained", facecolor=WHITE)
    FigureCanvasAgg(figure)
    return figure


def style_axes(axes: Axes, xlabel: str, size: float = 9) -> None:
    """Apply the house style: thin horizontal rules, no box, no tick marks."""
    axes.set_xlabel(xlabel, fontsize=size, color=QUIET)
    axes.tick_params(labelsize=size, colors=QUIET, length=0, bottom=False, left=False)
    axes.grid(axis="y", color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(RULE)


def draw_circle(axes: Axes, center: tuple[float, float], radius: float, **style: object) -> None:
    """Draw a circle of ``radius`` points around a data point; unlike a marker it is a path of its own in SVG."""
    from matplotlib.patches import Circle
    from matplotlib.transforms import Affine2D, ScaledTranslation

    points = Affine2D().scale(1 / 72) + axes.figure.dpi_scale_trans
    transform = points + ScaledTranslation(*center, axes.transData)
    axes.add_artist(Circle((0, 0), radius, transform=transform, clip_on=False, **{"linewidth": 0, **style}))


def to_png(figure: Figure) -> bytes:
    """Return the figure as a PNG file; missing glyphs are reported by the page instead of a warning."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="png", metadata={"Software": None}, bbox_inches="tight", pad_inches=0.14)
    return buffer.getvalue()


def to_svg(figure: Figure, label: str) -> Markup:
    """Return the figure as an inline SVG element in the page's colors and font.

    Args:
        figure: without markers, which SVG refers to by ids. The gid of an artist becomes its tooltip.
        label: for screen readers.
    """
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none"}):  # text stays text
        figure.savefig(buffer, format="svg", transparent=True)
    root = ElementTree.fromstring(buffer.getvalue())
    for element in root.iter():
        element.tag = element.tag.partition("}")[2]
        for child in list(element):
            if child.tag.endswith(("}metadata", "}defs")):
                element.remove(child)
        element.attrib.pop("clip-path", None)
        if "d" in element.attrib:
            element.set("d", re.sub(r"(\.\d\d)\d+", r"\1", element.attrib["d"]))
        gid = element.attrib.pop("id", "")
        if " " in gid:  # matplotlib's own have none
            ElementTree.SubElement(element, "{svg}title").text = gid
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": label}
    svg = re.sub(r"font-family: [^;]*; ", "", ElementTree.tostring(root, encoding="unicode"))
    return Markup(re.sub(r"#[0-9a-f]{6}", lambda match: VARIABLES.get(match[0], match[0]), svg))
