"""Square RGB arrays of images."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from s2s_plugin.datasets.frontends import check_file, check_installed
from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError
from s2s_plugin.utils.options import option


@dataclass
class ImageConfig:
    """Options of the image frontend."""

    size: int = option(64, "pixels on each side")
    fit: str = option("crop", "crop (cut the longer side) or pad (extend the shorter side by white)")
    max_megapixels: float = option(40.0, "maximum size; larger images are refused")


class ImageFrontend:
    """``size`` rows x ``size`` columns x RGB, stored as uint8. A source step is a row."""

    def __init__(self, config: ImageConfig):
        self.config = config
        check_installed("image", "image", {"PIL": "pillow"})
        if config.fit not in ("crop", "pad"):
            raise UserError(f"image.fit must be crop or pad, got {config.fit}")

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.config.size, 3)

    def load(self, item: Item) -> np.ndarray:
        from PIL import Image, ImageOps, UnidentifiedImageError

        path, side = item.path, self.config.size
        check_file(path)
        try:
            with Image.open(path) as image:
                megapixels, limit = image.width * image.height / 1e6, self.config.max_megapixels
                if megapixels > limit:
                    rule = f"must have at most image.max_megapixels={limit:g}"
                    raise UserError(f"{path}: {rule}, got {megapixels:.0f} megapixels")
                image.draft("RGB", (2 * side, 2 * side))
                upright = ImageOps.exif_transpose(image).convert("RGBA")
        except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
            reason = "unknown format" if isinstance(error, UnidentifiedImageError) else str(error)
            raise UserError(f"{path}: not an image ({reason}); convert it to png") from None
        flat = Image.new("RGB", upright.size, "white")
        flat.paste(upright, mask=upright.getchannel("A"))
        resize = ImageOps.fit if self.config.fit == "crop" else partial(ImageOps.pad, color="white")
        return np.asarray(resize(flat, (side, side), Image.Resampling.BICUBIC), dtype=np.uint8)

    def to_image(self, source: Tensor) -> np.ndarray:
        """Return H x W x RGB, uint8."""
        return ((source + 1) * 127.5).clamp(0, 255).numpy().astype(np.uint8)

    def to_tensor(self, stored: np.ndarray) -> Tensor:
        """Return values between -1 and 1."""
        return torch.from_numpy(stored.astype(np.float32)) / 127.5 - 1.0
