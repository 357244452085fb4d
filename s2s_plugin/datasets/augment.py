"""Augmentation of training sources that keeps their text true; seeded by seed, epoch and item."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Augmentation:
    """Strength of each transform; 0 turns it off."""

    time_stretch: float = 0.0  # audio, video: multiplies the duration by 1 - time_stretch to 1 + time_stretch
    time_masks: int = 0  # audio, video
    time_mask_share: float = 0.0  # maximum width of each as a share of the steps
    freq_masks: int = 0  # audio
    freq_mask_width: int = 0  # maximum width of each in mel channels
    translate: float = 0.0  # video, image: maximum shift as a share of height and width
    flip: bool = False  # video, image: mirror left to right with probability 1/2
    color_jitter: float = 0.0  # video, image: maximum change of contrast and brightness, in standard deviations

    def audio(self, features: Tensor, rng: Generator) -> Tensor:
        """Augment S x mel channels by time stretch and SpecAugment's masks (Park et al. 2019)."""
        features = time_stretch(features.unsqueeze(1), self.time_stretch, rng).squeeze(1).clone()
        for _ in range(self.freq_masks):
            mask(features, 1, self.freq_mask_width, rng)
        return self._mask_time(features, rng)

    def video(self, frames: Tensor, rng: Generator) -> Tensor:
        """Augment S x H x W frames, each spatial transform alike for all frames."""
        frames = translate(time_stretch(frames, self.time_stretch, rng), self.translate, (1, 2), rng)
        frames = color_jitter(flip(frames, self.flip, 2, rng), self.color_jitter, rng)
        return self._mask_time(frames.clone(), rng)

    def image(self, rows: Tensor, rng: Generator) -> Tensor:
        """Augment H x W x RGB."""
        rows = translate(rows, self.translate, (0, 1), rng)
        return color_jitter(flip(rows, self.flip, 1, rng), self.color_jitter, rng)

    def _mask_time(self, steps: Tensor, rng: Generator) -> Tensor:
        for _ in range(self.time_masks):
            mask(steps, 0, int(len(steps) * self.time_mask_share), rng)
        return steps


def time_stretch(steps: Tensor, share: float, rng: Generator) -> Tensor:
    """Change the duration of S x A x B steps by up to ``share``, with linear interpolation."""
    if not share:
        return steps
    count = max(1, round(len(steps) * rng.uniform(1 - share, 1 + share)))
    channels_first, size = steps.transpose(0, 1).unsqueeze(0), (count, steps.size(2))
    resized = F.interpolate(channels_first, size, mode="bilinear", align_corners=True)
    return resized.squeeze(0).transpose(0, 1)


def mask(features: Tensor, dim: int, max_width: int, rng: Generator) -> None:
    """Set a stretch of up to ``max_width`` along ``dim`` to 0, the mean of normalized features, in place."""
    size = features.size(dim)
    width = rng.integers(0, min(max_width, size) + 1)
    start = rng.integers(0, size - width + 1)
    features.narrow(dim, int(start), int(width)).zero_()


def translate(image: Tensor, share: float, dims: tuple[int, int], rng: Generator) -> Tensor:
    """Shift by up to ``share`` of the size of ``dims`` (height, width), with the border repeated."""
    for dim in dims:
        size = image.size(dim)
        limit = int(size * share)
        offset = int(rng.integers(-limit, limit + 1))
        image = image.index_select(dim, (torch.arange(size) + offset).clamp(0, size - 1))
    return image


def flip(image: Tensor, enabled: bool, dim: int, rng: Generator) -> Tensor:
    """Mirror along ``dim`` with probability 1/2, if enabled."""
    return image.flip(dim) if enabled and rng.random() < 0.5 else image


def color_jitter(image: Tensor, strength: float, rng: Generator) -> Tensor:
    """Change contrast and brightness by up to ``strength`` standard deviations each."""
    if not strength:
        return image
    contrast, brightness = rng.uniform(-strength, strength, 2)
    return image * (1 + float(contrast)) + float(brightness)
