"""The attention of some items: tables in the page for text, pictures for signals, and PNG files of all."""

from __future__ import annotations

from typing import Any

from s2s_plugin.report.drawing.attention import MAX_TOKENS, draw
from s2s_plugin.report.drawing.style import fonts_for, has_font_package, to_png
from s2s_plugin.report.run import RunData

MAX_CELLS = 6000  # a larger table makes the page slow: the picture replaces it
MAX_MISSING_GLYPHS = 12  # to list


def attention_section(run: RunData) -> dict[str, Any] | None:
    """Show a figure for each line of ``attention.jsonl``; browsers draw any script, PNG files need fonts for it."""
    if not run.attention:
        return None
    labels = "".join(token for item in run.attention for token in (*item.source_tokens, *item.target_tokens))
    missing_glyphs = sorted(fonts_for(labels)[1])
    return {
        "pictures": {f"attention-{count}.png": to_png(draw(item)) for count, item in enumerate(run.attention, start=1)},
        "missing_glyphs": missing_glyphs[:MAX_MISSING_GLYPHS] + ["…"] * (len(missing_glyphs) > MAX_MISSING_GLYPHS),
        "has_font_package": has_font_package(),
        "max_cells": MAX_CELLS,
        "max_tokens": MAX_TOKENS,
    }
