"""Recordings, videos and images inside the page; only the name if one cannot be shown."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from s2s_plugin.report.markup import data_uri

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

SOUNDS = {".wav": "audio/wav", ".flac": "audio/flac", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".opus": "audio/ogg"}
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
MAX_SOUND = 400_000  # bytes
MAX_IMAGE_SIDE = 160  # pixels
NUM_FRAMES = 5  # of a video
FRAMES_PER_SECOND = 25.0  # to choose from
MAX_FRAME_SIDE = 112  # pixels


def media_html(path: Path) -> Markup:
    """Return a player for a recording, a thumbnail of an image or frames of a video, with the name of the file."""
    content = ""
    try:
        if path.suffix.lower() in SOUNDS:
            content = _player(path)
        elif path.suffix.lower() in PICTURES:
            content = _image(_thumbnail(path), path.name)
        elif path.exists():
            content = _image(_film_strip(path), f"{NUM_FRAMES} frames of {path.name}")
    except Exception:  # a broken or missing file, or a missing package, is no reason to have no report
        content = ""
    return Markup('<span class="media">{}<span class="quiet">{}</span></span>').format(content, path.name)


def _player(path: Path) -> str:
    if path.stat().st_size > MAX_SOUND:
        return ""
    source = data_uri(path.read_bytes(), SOUNDS[path.suffix.lower()])
    return Markup('<audio controls preload="metadata" src="{}"></audio>').format(source)


def _image(jpeg: bytes, alt: str) -> Markup:
    return Markup('<img src="{}" alt="{}">').format(data_uri(jpeg, "image/jpeg"), alt)


def _thumbnail(path: Path) -> bytes:
    from PIL import Image, ImageOps

    with Image.open(path) as image:
        return _jpeg(_small(ImageOps.exif_transpose(image), MAX_IMAGE_SIDE))


def _film_strip(path: Path) -> bytes:
    """Return frames spread evenly over the video, side by side."""
    from PIL import Image

    frames = [_small(frame, MAX_FRAME_SIDE) for frame in _frames(path)]
    shown = [frames[int((place + 0.5) * len(frames) / NUM_FRAMES)] for place in range(NUM_FRAMES)]
    width, height = shown[0].size
    strip = Image.new("RGB", (NUM_FRAMES * width, height))
    for place, frame in enumerate(shown):
        strip.paste(frame, (place * width, 0))
    return _jpeg(strip)


def _frames(path: Path) -> Iterator[Picture]:
    from s2s_plugin.datasets.frontends.video import read_folder, read_video

    return read_folder(path) if path.is_dir() else read_video(path, FRAMES_PER_SECOND)


def _small(image: Picture, side: int) -> Picture:
    """Return an RGB copy on white whose longer side has at most ``side`` pixels."""
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
