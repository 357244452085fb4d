"""Square RGB arrays of images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from s2s_plugin.datasets.frontends import check_file, check_installed
from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError
from s2s_plugin.utils.options import option

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

# Of Pillow's; it reads EPS by running Ghostscript on a file that may be a stranger's.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "QOI", "TGA", "TIFF", "WEBP")
MAX_ASPECT = 3.0  # of a pixel; other resolutions are no resolutions


@dataclass
class ImageConfig:
    """Options of the image frontend."""

    size: int = option(64, "pixels on each side")
    fit: str = option("crop", "crop (cut the longer side) or pad (extend the shorter side by white)")
    max_megapixels: float = option(40.0, "maximum size; larger images are refused")


class ImageFrontend:
    """``size`` rows x ``size`` columns x RGB, stored as uint8. A source step is a row."""

    dtype = "uint8"

    def __init__(self, config: ImageConfig):
        self.config = config
        check_installed("image", "image", {"PIL": "pillow"})
        if config.fit not in ("crop", "pad"):
            raise UserError(f"image.fit must be crop or pad, got {config.fit}")

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.config.size, 3)

    def load(self, item: Item) -> np.ndarray:
        from PIL import Image, ImageOps

        side = self.config.size
        flat = read_image(item.path, self.config.max_megapixels, "image.max_megapixels=", draft=2 * side)
        resize = ImageOps.fit if self.config.fit == "crop" else partial(ImageOps.pad, color="white")
        return np.asarray(resize(flat, (side, side), Image.Resampling.BICUBIC), dtype=np.uint8)

    def to_image(self, source: Tensor) -> np.ndarray:
        """Return H x W x RGB, uint8."""
        return ((source + 1) * 127.5).clamp(0, 255).numpy().astype(np.uint8)

    def to_tensor(self, stored: np.ndarray) -> Tensor:
        """Return values between -1 and 1."""
        return torch.from_numpy(stored.astype(np.float32)) / 127.5 - 1.0


def read_image(path: Path, max_megapixels: float, option: str = "", draft: int | None = None) -> Picture:
    """Read an image, the first if there are several, as RGB on white: upright and with square pixels.

    Args:
        path: of the file.
        max_megapixels: a larger image is refused.
        option: name of that limit for the message.
        draft: number of pixels on each side that are enough.

    Raises:
        UserError: no such file, or not an image.
    """
    from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

    check_file(path)
    try:
        # By name, Pillow maps turned tiff files wrongly.
        with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
            megapixels = image.width * image.height / 1e6
            if megapixels > max_megapixels:
                rule = f"must have at most {option}{max_megapixels:g}"
                raise UserError(f"{path}: {rule}, got {megapixels:.0f} megapixels")
            if draft is not None:
                image.draft("RGB", (draft, draft))
            aspect = _pixel_aspect(image)
            if image.format == "TIFF" and image.getexif().get(ExifTags.Base.Orientation, 1) >= 5:
                aspect = 1 / aspect  # Pillow transposes this format itself
            image.load()
            eight_bits = _to_eight_bits(image) if image.mode.startswith(("I", "F")) else image
            upright = ImageOps.exif_transpose(square_pixels(eight_bits, aspect)).convert("RGBA")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        reason = "unknown format" if isinstance(error, UnidentifiedImageError) else str(error)
        raise UserError(f"{path}: not an image ({reason}); convert it to png") from None
    flat = Image.new("RGB", upright.size, "white")
    flat.paste(upright, mask=upright.getchannel("A"))
    return flat


def square_pixels(image: Picture, aspect: float) -> Picture:
    """Enlarge one side of an image whose pixels are ``aspect`` times as wide as high."""
    if abs(aspect - 1) < 0.01 or not 1 / MAX_ASPECT <= aspect <= MAX_ASPECT:
        return image
    size = (round(image.width * max(aspect, 1)), round(image.height / min(aspect, 1)))
    exif = image.getexif()
    resized = image.convert("RGBA").resize(size)
    resized.info["exif"] = exif.tobytes()
    return resized


def _pixel_aspect(image: Picture) -> float:
    """Return how much wider than high a pixel is, by the resolutions in dots per inch; 1 if there are none."""
    horizontal, vertical = image.info.get("dpi", (1, 1))
    return float(vertical) / float(horizontal) if horizontal and vertical else 1.0


def _to_eight_bits(image: Picture) -> Picture:
    """Return a gray image of 16 bits, 32 bits or floats in 8 bits, which Pillow would clip."""
    from PIL import Image

    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("pixels must be finite")
    low, high = float(values.min()), float(values.max())
    if image.mode.startswith("I;16") or (image.mode == "I" and 255 < high < 2**16 and low >= 0):
        scaled = values / 257
    elif low >= 0 and high <= 255:
        scaled = values * (255 if high <= 1 and image.mode == "F" else 1)
    else:
        scaled = (values - low) * (255 / max(high - low, 1e-9))  # no known range
    gray = Image.fromarray(scaled.round().astype(np.uint8))
    gray.info["exif"] = image.getexif().tobytes()
    if isinstance(clear := image.info.get("transparency"), int):
        gray.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return gray
