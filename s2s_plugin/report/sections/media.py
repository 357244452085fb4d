"""Recordings, videos and images inside the page."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING

from s2s_plugin.datasets.frontends.video import read_frames
from s2s_plugin.inference.interactive import SUFFIXES
from s2s_plugin.utils.paths import check_regular

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

SOUNDS = {".wav": "audio/wav", ".flac": "audio/flac", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".opus": "audio/ogg"}
MAX_SOUND = 400_000  # bytes
MAX_IMAGE_SIDE = 160  # pixels
NUM_FRAMES = 5  # of a video
FRAMES_PER_SECOND = 25.0  # to choose from
MAX_FRAME_SIDE = 112  # pixels


def media_uri(name: str) -> str:
    """Return an address that contains a recording, a thumbnail of an image or frames of a video side by side.

    It is empty if the file is too large, missing or broken, or its reader is not installed: the report shows its name.
    """
    path, suffix = Path(name), Path(name).suffix.lower()
    if not (path.is_file() or path.is_dir()):  # reading a FIFO or a device may never end
        return ""
    try:
        check_regular(path)
        if suffix in SOUNDS:
            media_type, content = SOUNDS[suffix], path.read_bytes() if path.stat().st_size <= MAX_SOUND else b""
        else:
            media_type, content = "image/jpeg", _thumbnail(path) if suffix in SUFFIXES["image"] else _film_strip(path)
    except Exception:
        return ""
    return data_uri(media_type, content) if content else ""


def data_uri(media_type: str, content: bytes) -> str:
    """Return an address that contains a file."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def _thumbnail(path: Path) -> bytes:
    from PIL import Image, ImageOps

    with Image.open(path) as image:
        return _jpeg([_small(ImageOps.exif_transpose(image), MAX_IMAGE_SIDE)])


def _film_strip(path: Path) -> bytes:
    """Return frames spread evenly over the video."""
    small = [_small(frame, MAX_FRAME_SIDE) for frame in read_frames(path, FRAMES_PER_SECOND)]
    return _jpeg([small[int((place + 0.5) * len(small) / NUM_FRAMES)] for place in range(NUM_FRAMES)])


def _small(image: Picture, side: int) -> Picture:
    """Return an RGBA copy whose longer side has at most ``side`` pixels."""
    copy = image.convert("RGBA")
    copy.thumbnail((side, side))
    return copy


def _jpeg(images: list[Picture]) -> bytes:
    """Return RGBA images of one size side by side, on white."""
    from PIL import Image

    width, height = images[0].size
    strip = Image.new("RGB", (len(images) * width, height), "white")
    for place, image in enumerate(images):
        strip.paste(image, (place * width, 0), image)
    buffer = io.BytesIO()
    strip.save(buffer, format="JPEG", quality=85)
    return buffer.getvalue()
