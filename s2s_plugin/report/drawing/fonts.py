"""Fonts for the PNG files: find one that has the characters of a label.

matplotlib's own DejaVu Sans comes first, then the font packages of the ``[viz]`` extra, then the fonts of
the system. The HTML page needs none of this: there the browser chooses.
"""

from __future__ import annotations

import importlib.util
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.font_manager import FontProperties
    from matplotlib.ft2font import FT2Font
    from matplotlib.text import Text

FONT_PACKAGES = ("noto_cjk_sans_jp_regular",)  # Hangul, Han and kana in one file


def font_for(label: str) -> tuple[FontProperties, set[str]]:
    """Return the first font with every character of ``label`` (else the one with most), and the missing glyphs."""
    from matplotlib.font_manager import FontProperties

    wanted = {char for char in label if _visible(char)}
    best: tuple[str, set[str]] | None = None
    for path in _candidates():
        missing_glyphs = {char for char in wanted if not _has(path, char)}
        if best is None or len(missing_glyphs) < len(best[1]):
            best = (path, missing_glyphs)
        if not missing_glyphs:
            break
    assert best is not None  # matplotlib ships DejaVu Sans
    return FontProperties(fname=best[0]), best[1]


def fit_font(label: Text) -> set[str]:
    """Set a font that has the characters of ``label``, at its size; return the missing glyphs."""
    font, missing_glyphs = font_for(label.get_text())
    font.set_size(label.get_fontsize())
    label.set_fontproperties(font)
    return missing_glyphs


def drawable(text: str) -> str:
    """Replace lone surrogates, which matplotlib refuses."""
    return text.encode("utf-8", "replace").decode("utf-8")


def has_font_package() -> bool:
    """Return whether the fonts of the ``[viz]`` extra are installed."""
    return bool(_packaged())


def _visible(char: str) -> bool:
    """Return whether ``char`` needs a glyph: spaces, controls, joiners and the like do not."""
    return not char.isspace() and unicodedata.category(char) not in ("Cc", "Cf", "Mn")


def _candidates() -> Iterator[str]:
    """Yield font files in the order of preference; the system is only searched if the first ones fail."""
    from matplotlib import font_manager

    yield font_manager.findfont("DejaVu Sans")
    yield from _packaged()
    yield from _installed()


@lru_cache(maxsize=1)
def _packaged() -> tuple[str, ...]:
    """Return the font files of the font packages that are installed, without importing the packages."""
    found: list[str] = []
    for package in FONT_PACKAGES:
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            found += sorted(str(file) for file in Path(folder).rglob("*.[ot]tf"))
    return tuple(found)


@lru_cache(maxsize=1)
def _installed() -> tuple[str, ...]:
    """Return the upright, regular fonts of the system, sans serif ones first."""
    from matplotlib import font_manager

    entries = [
        entry
        for entry in font_manager.fontManager.ttflist
        if entry.style == "normal"
        and entry.weight in (400, "normal", "regular")
        and not entry.name.startswith("Last Resort")  # draws a box for any character
    ]
    entries.sort(key=lambda entry: ("Sans" not in entry.name, entry.name))
    return tuple(dict.fromkeys(entry.fname for entry in entries))


@lru_cache(maxsize=64)
def _open(path: str) -> FT2Font | None:
    from matplotlib.ft2font import FT2Font

    try:
        return FT2Font(path)
    except (OSError, RuntimeError):  # listed in matplotlib's cache, since removed or unreadable
        return None


@cache
def _has(path: str, char: str) -> bool:
    """Return whether the font's character map has ``char``."""
    font = _open(path)
    return font is not None and font.get_char_index(ord(char)) != 0
