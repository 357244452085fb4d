"""Changes to training sources that leave their text true; drawn from a generator seeded by seed, epoch and item."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Augmentation:
    """How much is changed; zeros change nothing.

    Attributes:
        stretch: audio, video: the duration is multiplied by 1 - stretch to 1 + stretch.
        time_masks, time_mask_share: audio, video: so many stretches, each of up to that share of the steps, are blank.
        freq_masks, freq_mask_width: audio: so many bands of up to that many mel channels are blank.
        shift: video, image: moved by up to that share of the height and the width.
        flip: video, image: mirrored left to right, half of the time.
        light: video, image: contrast and brightness are changed by up to that much of the standard deviation.
    """

    stretch: float = 0.0
    time_masks: int = 0
    time_mask_share: float = 0.0
    freq_masks: int = 0
    freq_mask_width: int = 0
    shift: float = 0.0
    flip: bool = False
    light: float = 0.0

    def of(self, modality: str) -> Callable[[Tensor, Generator], Tensor]:
        return {"audio": self.audio, "video": self.video, "image": self.image}[modality]

    def audio(self, features: Tensor, rng: Generator) -> Tensor:
        """S x mel channels. Masks as in SpecAugment (Park et al. 2019); 0 is the mean of normalised features."""
        features = self._stretched(features.unsqueeze(1), rng).squeeze(1).clone()
        channels = features.size(1)
        for _ in range(self.freq_masks):
            width = rng.integers(0, min(self.freq_mask_width, channels) + 1)
            start = rng.integers(0, channels - width + 1)
            features[:, start : start + width] = 0
        return self._time_masked(features, rng)

    def video(self, frames: Tensor, rng: Generator) -> Tensor:
        """S x H x W."""
        frames = self._lit(self._moved(self._stretched(frames, rng), rng, dims=(1, 2)), rng)
        return self._time_masked(frames.clone(), rng)

    def image(self, rows: Tensor, rng: Generator) -> Tensor:
        """H x W x RGB."""
        return self._lit(self._moved(rows, rng, dims=(0, 1)), rng)

    def _stretched(self, steps: Tensor, rng: Generator) -> Tensor:
        """Steps at linearly interpolated times. ``steps``: S x A x B."""
        if not self.stretch:
            return steps
        count = max(1, round(len(steps) * rng.uniform(1 - self.stretch, 1 + self.stretch)))
        size = (count, steps.size(2))
        resized = F.interpolate(steps.transpose(0, 1).unsqueeze(0), size, mode="bilinear", align_corners=True)
        return resized.squeeze(0).transpose(0, 1)

    def _time_masked(self, steps: Tensor, rng: Generator) -> Tensor:
        for _ in range(self.time_masks):
            width = rng.integers(0, int(len(steps) * self.time_mask_share) + 1)
            start = rng.integers(0, len(steps) - width + 1)
            steps[start : start + width] = 0
        return steps

    def _moved(self, picture: Tensor, rng: Generator, dims: tuple[int, int]) -> Tensor:
        """Shifted, with the border repeated, and perhaps mirrored. ``dims``: of height and width."""
        for dim in dims:
            size = picture.size(dim)
            most = int(size * self.shift)
            offset = int(rng.integers(-most, most + 1))
            picture = picture.index_select(dim, (torch.arange(size) + offset).clamp(0, size - 1))
        return picture.flip(dims[1]) if self.flip and rng.random() < 0.5 else picture

    def _lit(self, picture: Tensor, rng: Generator) -> Tensor:
        if not self.light:
            return picture
        contrast, brightness = rng.uniform(-self.light, self.light, 2)
        return picture * (1 + float(contrast)) + float(brightness)
