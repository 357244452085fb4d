"""The attention of some items: tables in the page for text, pictures for signals, and PNG files of all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from s2s_plugin.report.drawing.fonts import has_font_package
from s2s_plugin.report.drawing.heatmap import draw_heatmap
from s2s_plugin.report.drawing.overlay import MAX_TOKENS, draw_picture, draw_spectrogram, draw_video
from s2s_plugin.report.drawing.signals import Picture, Spectrogram, VideoFrames
from s2s_plugin.report.drawing.style import to_png
from s2s_plugin.report.markup import Section, missing, render
from s2s_plugin.report.run import Attention, RunData

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

MAX_CELLS = 6000  # a larger table makes the page slow: the picture replaces it
MAX_MISSING_GLYPHS = 12  # to list
TIME = (
    "Above, {}; below, a row for each output token, on the same time axis. The stronger the color, "
    "the more the output token attends to that moment."
)
LEADS = {
    type(None): Markup(
        "Each row is an output token, each column a source token. The stronger the color, "
        "the more the output token attends to the source token. "
        '<span class="scale" aria-hidden="true">0 <i></i> 1</span>'
    ),
    Spectrogram: TIME.format("the spectrogram of the recording"),
    VideoFrames: TIME.format("frames as the model sees them")
    + " The stronger the border of a frame, the more all tokens together attend to it.",
    Picture: "First the picture as the model sees it, then a gray copy for each output token. The stronger the color, "
    "the more the token attends to that place.",
}


@dataclass(frozen=True)
class Figure:
    """The attention of an item, drawn."""

    item: Attention
    name: str
    png: bytes

    @property
    def as_table(self) -> bool:
        """Return whether the page has a table instead of the picture, for the browser's fonts draw any script."""
        return self.item.signal is None and len(self.item.source) * len(self.item.target) <= MAX_CELLS

    @property
    def remark(self) -> str:
        """Return what the picture leaves out."""
        tokens = len(self.item.target)
        truncated = isinstance(self.item.signal, Picture) and tokens > MAX_TOKENS
        return f"The first {MAX_TOKENS} of {tokens} tokens." if truncated else ""


def attention_section(run: RunData) -> Section:
    """Show a figure for each line of ``attention.jsonl``."""
    if not run.attention:
        return Section("attention", "Attention", missing("attention.jsonl", "generate", "attention heatmaps"))
    figures, missing_glyphs = [], set[str]()
    for count, item in enumerate(run.attention, start=1):
        drawing, glyphs = draw(item)
        missing_glyphs |= glyphs
        figures.append(Figure(item, f"attention-{count}.png", to_png(drawing)))
    listed = sorted(missing_glyphs)[:MAX_MISSING_GLYPHS]
    body = render(
        "sections/attention.html.j2",
        leads=[LEADS[kind] for kind in dict.fromkeys(type(item.signal) for item in run.attention)],
        figures=figures,
        missing_glyphs=" ".join(listed) + (" …" if len(missing_glyphs) > len(listed) else ""),
        has_font_package=has_font_package(),
    )
    return Section("attention", "Attention", body, {figure.name: figure.png for figure in figures})


def draw(item: Attention) -> tuple[Drawing, set[str]]:
    """Draw the attention; return also the characters of its labels that no font on this machine has."""
    match item.signal:
        case Spectrogram():
            return draw_spectrogram(item, item.signal)
        case VideoFrames():
            return draw_video(item, item.signal)
        case Picture():
            return draw_picture(item, item.signal)
        case None:
            return draw_heatmap(item)
