"""Pictures to square RGB arrays."""

import importlib.util
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError

INSTALL = "pip install 's2s-plugin[image]'"


@dataclass
class ImageConfig:
    """What is done to a picture."""

    size: int = 64  # pixels on each side
    fit: str = "crop"  # crop: cut the longer side; pad: white beside the shorter one
    max_megapixels: float = 40.0  # larger ones are refused


class ImageFrontend:
    """``size`` rows x ``size`` columns x RGB, stored as uint8. A source step is a row."""

    def __init__(self, config: ImageConfig):
        self.config = config
        if importlib.util.find_spec("PIL") is None:
            raise UserError(f"pictures need the package pillow: {INSTALL}")
        if config.fit not in ("crop", "pad"):
            raise UserError(f"image.fit is {config.fit}: give crop or pad")

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.config.size, 3)

    def load(self, item: Item) -> np.ndarray:
        from PIL import Image, ImageOps, UnidentifiedImageError

        path, side = item.path, self.config.size
        if not path.is_file():
            raise UserError(f"{path}: no such file")
        try:
            with Image.open(path) as image:
                megapixels = image.width * image.height / 1e6
                if megapixels > self.config.max_megapixels:
                    raise UserError(
                        f"{path}: {megapixels:.0f} megapixels; make it smaller, or raise image.max_megapixels="
                        f"{self.config.max_megapixels:g}"
                    )
                image.draft("RGB", (2 * side, 2 * side))
                upright = ImageOps.exif_transpose(image).convert("RGBA")
        except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
            reason = "unknown format" if isinstance(error, UnidentifiedImageError) else str(error)
            raise UserError(f"{path}: not a picture that Pillow reads ({reason}); convert it to png") from None
        flat = Image.new("RGB", upright.size, "white")
        flat.paste(upright, mask=upright.getchannel("A"))
        fitted = (
            ImageOps.fit(flat, (side, side), Image.Resampling.BICUBIC)
            if self.config.fit == "crop"
            else ImageOps.pad(flat, (side, side), Image.Resampling.BICUBIC, "white")
        )
        return np.asarray(fitted, dtype=np.uint8)

    def to_image(self, source: Tensor) -> np.ndarray:
        """H x W x RGB, uint8."""
        return ((source + 1) * 127.5).clamp(0, 255).numpy().astype(np.uint8)

    def to_tensor(self, stored: np.ndarray) -> Tensor:
        """Between -1 and 1."""
        return torch.from_numpy(stored.astype(np.float32)) / 127.5 - 1.0
