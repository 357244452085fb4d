"""Recordings, films and pictures inside the page; where one cannot be shown, its name stands alone."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from s2s_plugin.report.markup import data_uri, esc

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

SOUNDS = {".wav": "audio/wav", ".flac": "audio/flac", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".opus": "audio/ogg"}
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
LARGEST_SOUND = 400_000  # bytes
PICTURE_SIDE = 160  # pixels, at most
FRAMES = 5  # of a film
FRAMES_A_SECOND = 25.0  # to choose from
FRAME_SIDE = 112  # pixels, at most


def media_html(path: Path) -> str:
    """A player for a recording, a small copy of a picture, a few frames of a film; beside it the file's name."""
    name = esc(path.name)
    shown = ""
    try:
        if path.suffix.lower() in SOUNDS:
            shown = _player(path)
        elif path.suffix.lower() in PICTURES:
            shown = f'<img src="{data_uri(_thumbnail(path), "image/jpeg")}" alt="{name}">'
        elif path.exists():
            shown = f'<img src="{data_uri(_film_strip(path), "image/jpeg")}" alt="{FRAMES} frames of {name}">'
    except Exception:  # a file that is gone or broken, a package that is missing: no reason to have no report
        shown = ""
    return f'<span class="media">{shown}<span class="quiet">{name}</span></span>'


def _player(path: Path) -> str:
    if path.stat().st_size > LARGEST_SOUND:
        return ""
    source = data_uri(path.read_bytes(), SOUNDS[path.suffix.lower()])
    return f'<audio controls preload="metadata" src="{source}"></audio>'


def _thumbnail(path: Path) -> bytes:
    from PIL import Image, ImageOps

    with Image.open(path) as image:
        return _jpeg(_small(ImageOps.exif_transpose(image), PICTURE_SIDE))


def _film_strip(path: Path) -> bytes:
    """Frames spread evenly over the film, side by side."""
    from PIL import Image

    frames = [_small(frame, FRAME_SIDE) for frame in _frames(path)]
    shown = [frames[int((place + 0.5) * len(frames) / FRAMES)] for place in range(FRAMES)]
    width, height = shown[0].size
    strip = Image.new("RGB", (FRAMES * width, height))
    for place, frame in enumerate(shown):
        strip.paste(frame, (place * width, 0))
    return _jpeg(strip)


def _frames(path: Path) -> Iterator[Picture]:
    from s2s_plugin.datasets.frontends.video import read_folder, read_video

    return read_folder(path) if path.is_dir() else read_video(path, FRAMES_A_SECOND)


def _small(image: Picture, side: int) -> Picture:
    """An RGB copy on white whose longer side has at most so many pixels."""
    from PIL import Image

    layer = image.convert("RGBA")
    copy = Image.new("RGB", layer.size, "white")
    copy.paste(layer, mask=layer.getchannel("A"))
    copy.thumbnail((side, side))
    return copy


def _jpeg(image: Picture) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=85)
    return buffer.getvalue()
