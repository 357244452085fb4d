"""The attention of some items: tables in the page for text, pictures for signals, and PNG files of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s2s_plugin.report import heatmap
from s2s_plugin.report.fonts import has_font_package
from s2s_plugin.report.markup import Section, esc, missing, note, picture, picture_link
from s2s_plugin.report.overlay import MAX_TOKENS, draw_film, draw_picture, draw_sound
from s2s_plugin.report.plot import to_png
from s2s_plugin.report.run import Attention, Run
from s2s_plugin.report.signals import Film, Picture, Sound

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TIME = (
    "Above, {}; below, a row for each output token, on the same time axis. The stronger the colour, "
    "the more the output token looks at that moment."
)
LEADS = {
    type(None): (
        "Each row is an output token, each column a source token. The stronger the colour, "
        "the more the output token looks at the source token. "
        '<span class="scale" aria-hidden="true">0 <i></i> 1</span>'
    ),
    Sound: TIME.format("the spectrogram of the recording"),
    Film: (
        f"{TIME.format('frames as the model sees them')} The stronger the border of a frame, "
        "the more all tokens together look at it."
    ),
    Picture: (
        "First the picture as the model sees it, then a grey copy for each output token. The stronger the colour, "
        "the more the token looks there."
    ),
}


def attention_section(run: Run) -> Section:
    """One figure for each line of ``attention.jsonl``, and ``attention-1.png`` and so on."""
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
    kinds = dict.fromkeys(type(item.signal) for item in run.attention)
    leads = [f'<p class="note">{LEADS[kind]}</p>' for kind in kinds]
    tail = _lacking_note(lacking) if lacking else ""
    return Section("attention", title, "\n".join([*leads, *figures, tail]), pictures)


def draw(item: Attention) -> tuple[Figure, set[str]]:
    """The attention as a figure, and the characters of its labels that no font on this machine has."""
    match item.signal:
        case Sound():
            return draw_sound(item, item.signal)
        case Film():
            return draw_film(item, item.signal)
        case Picture():
            return draw_picture(item, item.signal)
        case None:
            return heatmap.draw(item)


def _figure(item: Attention, name: str, png: bytes) -> str:
    content = picture(png, f"Attention of item {item.id}")
    aside = f'<span class="quiet">{esc(name)}</span>'
    if item.signal is None:
        aside = picture_link(name, png)
        if len(item.source) * len(item.target) <= heatmap.MAX_CELLS:
            content = heatmap.table(item)
    remark = ""
    if isinstance(item.signal, Picture) and len(item.target) > MAX_TOKENS:
        remark = note(f"The first {MAX_TOKENS} of {len(item.target)} tokens.")
    return (
        f'<figure class="attention">\n<figcaption><h3>No. {esc(item.id)}</h3>{aside}'
        f'</figcaption>\n<div class="scroll" tabindex="0">{content}</div>{remark}\n</figure>'
    )


def _lacking_note(lacking: set[str]) -> str:
    some = " ".join(sorted(lacking)[:12]) + (" …" if len(lacking) > 12 else "")
    mend = "" if has_font_package() else " pip install 's2s-plugin[viz]' brings a font with Hangul, Han and kana."
    return note(f"No font for the PNG files has {some} here: they show boxes. The page itself is not affected.{mend}")
