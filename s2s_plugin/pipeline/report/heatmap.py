"""Attention heatmaps: as tables in the page, where the browser's fonts draw any script, and as PNG files."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from s2s_plugin.pipeline.report.fonts import font_for, has_font_package
from s2s_plugin.pipeline.report.markup import Section, esc, missing, note, picture, picture_link
from s2s_plugin.pipeline.report.plot import ACCENT, INK, RULE, new_figure, to_png
from s2s_plugin.pipeline.report.run import Attention, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_CELLS = 6000  # a larger table makes the page slow: the picture stands in for it
CELL = 0.24  # inches in the picture
LONGEST = 16.0  # inches: the labels of longer axes are thinned out


def attention_section(run: Run) -> Section:
    """One heatmap for each sentence of ``attention.jsonl``, and ``attention-1.png`` and so on."""
    title = "Attention"
    if not run.attention:
        return Section("attention", title, missing("attention.jsonl", "generate", "attention heatmaps"))
    pictures: dict[str, bytes] = {}
    lacking: set[str] = set()
    figures = []
    for count, item in enumerate(run.attention, start=1):
        name = f"attention-{count}.png"
        figure, undrawn = draw(item)
        pictures[name] = to_png(figure)
        lacking |= undrawn
        figures.append(_figure(item, name, pictures[name]))
    lead = (
        '<p class="note">Each row is an output token, each column a source token. The stronger the colour, '
        "the more the output token looks at the source token. "
        '<span class="scale" aria-hidden="true">0 <i></i> 1</span></p>'
    )
    tail = _lacking_note(lacking) if lacking else ""
    return Section("attention", title, "\n".join([lead, *figures, tail]), pictures)


def draw(item: Attention) -> tuple[Figure, set[str]]:
    """The heatmap as a figure, and the characters of its labels that no font on this machine has."""
    from matplotlib.colors import LinearSegmentedColormap

    rows, columns = max(1, len(item.target)), max(1, len(item.source))
    width, height = min(LONGEST, columns * CELL), min(LONGEST, rows * CELL)
    figure = new_figure(width + 1.6, height + 1.6)
    axes = figure.add_subplot()
    colours = LinearSegmentedColormap.from_list("attention", ["#ffffff", ACCENT])
    aspect: Literal["equal", "auto"] = "equal" if max(rows, columns) * CELL <= LONGEST else "auto"
    if item.weights and item.source:
        axes.imshow(item.weights, cmap=colours, vmin=0, vmax=1, aspect=aspect, interpolation="nearest")
    _dress(axes)  # before the labels: those at the top are other objects than those below
    lacking = _labels(axes.set_xticks, axes.get_xticklabels, item.source, step=_step(columns))
    lacking |= _labels(axes.set_yticks, axes.get_yticklabels, item.target, step=_step(rows))
    return figure, lacking


def _labels(put: Callable, get: Callable, tokens: tuple[str, ...], step: int) -> set[str]:
    """Put every ``step``-th token on an axis, each in a font that has its characters; return what lacks."""
    places = range(0, len(tokens), step)
    texts = [tokens[place].encode("utf-8", "replace").decode("utf-8") for place in places]
    put(places, texts, parse_math=False, fontsize=9, color=INK)
    missing_characters: set[str] = set()
    for label, text in zip(get(), texts, strict=True):
        font, lacking = font_for(text)
        font.set_size(9)
        label.set_fontproperties(font)
        missing_characters |= lacking
    return missing_characters


def _dress(axes: Axes) -> None:
    """Source tokens on top, reading upwards; no box, no ticks."""
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.tick_params(axis="x", labelrotation=90)
    for spine in axes.spines.values():
        spine.set_color(RULE)


def _step(tokens: int) -> int:
    """Label every how many tokens, so that labels do not run into each other."""
    return max(1, round(tokens * CELL / LONGEST + 0.49))


def _figure(item: Attention, name: str, png: bytes) -> str:
    large = len(item.source) * len(item.target) > MAX_CELLS
    content = picture(png, f"Attention of sentence {item.id}") if large else _table(item)
    return (
        f'<figure class="attention">\n<figcaption><h3>No. {esc(item.id)}</h3>{picture_link(name, png)}'
        f'</figcaption>\n<div class="scroll" tabindex="0">{content}</div>\n</figure>'
    )


def _table(item: Attention) -> str:
    head = "".join(f'<th scope="col"><span dir="auto">{esc(token)}</span></th>' for token in item.source)
    rows = "\n".join(
        f'<tr><th scope="row"><bdi>{esc(token)}</bdi></th>{_cells(token, item.source, weights)}</tr>'
        for token, weights in zip(item.target, item.weights, strict=True)
    )
    return f'<table class="heat"><thead><tr><td></td>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table>'


def _cells(target: str, source: tuple[str, ...], weights: tuple[float, ...]) -> str:
    return "".join(
        f'<td style="--a:{weight:.3f}" title="{esc(target)} ← {esc(token)}: {weight:.3f}"></td>'
        for token, weight in zip(source, weights, strict=True)
    )


def _lacking_note(lacking: set[str]) -> str:
    some = " ".join(sorted(lacking)[:12]) + (" …" if len(lacking) > 12 else "")
    mend = "" if has_font_package() else " pip install 's2s-plugin[viz]' brings a font with Hangul, Han and kana."
    return note(f"No font for the PNG files has {some} here: they show boxes. The page itself is not affected.{mend}")
