"""The look of all figures, drawn without pyplot, and fonts for their labels."""

from __future__ import annotations

import importlib.util
import io
import re
import unicodedata
import warnings
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

from markupsafe import Markup, escape
from matplotlib import font_manager, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.patches import Circle
from matplotlib.transforms import Affine2D, ScaledTranslation

# The page's light colors by their CSS variables; the variables of SVG figures have dark values too.
_LIGHT = files("s2s_plugin.report").joinpath("style.css").read_text(encoding="utf-8").partition("@media")[0]
PALETTE = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", _LIGHT))
VARIABLES = {color: f"var(--{name})" for name, color in PALETTE.items()}
INK, QUIET, RULE, ACCENT = (PALETTE[name] for name in ("ink", "quiet", "rule", "accent"))
SERIES_COLORS = tuple(PALETTE[f"s{number}"] for number in range(5))
PADDING = 0.14  # inches around the drawing in a file
FONT_PACKAGE = "noto_cjk_sans_jp_regular"  # of the extra [viz]: Hangul, Han and kana in one file


def new_figure(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Figure:
    """Return an empty white figure of ``width`` by ``height`` inches."""
    return Figure(figsize=(width, height), dpi=160, layout=layout, facecolor="white")


def style_axes(axes: Axes, xlabel: str, size: float) -> None:
    """Apply the house style: thin horizontal rules, no box, no tick marks."""
    axes.set_xlabel(xlabel, fontsize=size, color=QUIET)
    axes.tick_params(labelsize=size, colors=QUIET, length=0)
    axes.grid(axis="y", color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(RULE)


def draw_circle(axes: Axes, center: tuple[float, float], radius: float, **style: object) -> None:
    """Draw a circle of ``radius`` points around a data point; unlike a marker it is a path of its own in SVG."""
    points = Affine2D().scale(1 / 72) + axes.figure.dpi_scale_trans
    transform = points + ScaledTranslation(*center, axes.transData)  # type: ignore[arg-type]
    axes.add_artist(Circle((0, 0), radius, transform=transform, clip_on=False, **style))


def to_png(figure: Figure) -> bytes:
    """Return the figure as a PNG file; missing glyphs are reported by the page instead of a warning."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        # For "tight" matplotlib draws twice, which only a layout needs.
        box = "tight" if figure.get_layout_engine() else figure.get_tightbbox().padded(PADDING)
        figure.savefig(buffer, format="png", metadata={"Software": None}, bbox_inches=box, pad_inches=PADDING)
    return buffer.getvalue()


def to_svg(figure: Figure, label: str) -> Markup:
    """Return the figure as an inline SVG element in the page's colors and font.

    Args:
        figure: without markers, which SVG refers to by ids. The gid of an artist becomes its tooltip.
        label: for screen readers.
    """
    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none"}):  # text stays text
        figure.savefig(buffer, format="svg", transparent=True)
    ((view_box, svg),) = re.findall(r'<svg [^>]*(viewBox="[^"]*")[^>]*>(.*)', buffer.getvalue(), re.DOTALL)
    for pattern, replacement in (
        (r"<(metadata|defs)>.*?</\1>", ""),
        (r'<(\w+) id="([^"]* [^"]*)">', r"<\1><title>\2</title>"),  # matplotlib's own ids have no space
        (r' (id|clip-path)="[^"]*"|font-family: [^;]*; ', ""),
        (r"font: (\w+) [^;\"]*", r"font-size: \1"),
        (r"(\.\d\d)\d+(?=[^<>]*>)", r"\1"),  # decimals of coordinates
    ):
        svg = re.sub(pattern, replacement, svg, flags=re.DOTALL)
    svg = re.sub(r"#[0-9a-f]{6}", lambda match: VARIABLES.get(match[0], match[0]), svg)
    return Markup(f'<svg {view_box} role="img" aria-label="{escape(label)}">{svg}')  # noqa: S704 (matplotlib escapes)


def fonts_for(text: str) -> tuple[list[str], set[str]]:
    """Return the families for ``text``, which matplotlib tries for each glyph, and the characters that none has.

    The HTML page needs none of this: there the browser chooses.
    """
    families: list[str] = []
    missing = {char for char in text if not char.isspace() and unicodedata.category(char) not in ("Cc", "Cf", "Mn")}
    for font in _fonts():
        if families and not missing:
            break
        if (covered := missing & _characters(font.fname)) or not families:
            families.append(font.name)
            missing -= covered
    return list(dict.fromkeys(families)), missing


def has_font_package() -> bool:
    """Return whether the fonts of the extra ``[viz]`` are installed."""
    return importlib.util.find_spec(FONT_PACKAGE) is not None


def _fonts() -> list[font_manager.FontEntry]:
    """Return the upright, regular fonts: matplotlib's own DejaVu Sans, the font package, those of the system."""
    fonts = font_manager.fontManager
    packaged = set()
    if has_font_package():
        packaged = {str(file) for file in Path(str(files(FONT_PACKAGE))).rglob("*.[ot]tf")}
    for path in packaged - {font.fname for font in fonts.ttflist}:
        fonts.addfont(path)
    regular = [each for each in fonts.ttflist if each.style == "normal" and each.weight in (400, "normal", "regular")]
    return sorted(
        (font for font in regular if not font.name.startswith("Last Resort")),  # it draws a box for any character
        key=lambda font: (font.name != "DejaVu Sans", font.fname not in packaged, "Sans" not in font.name, font.name),
    )


@lru_cache(maxsize=64)
def _characters(path: str) -> frozenset[str]:
    """Return the characters that a font file has."""
    try:
        return frozenset(map(chr, FT2Font(path).get_charmap()))
    except (OSError, RuntimeError):  # listed in matplotlib's cache, since removed or unreadable
        return frozenset()
