"""Frontends: one file per modality, media files to arrays of source steps."""

from dataclasses import asdict
from typing import Protocol

import numpy as np
from torch import Tensor

from s2s_plugin.datasets.manifest import Item


class Frontend(Protocol):
    """A media file to what is stored, and what is stored to what the encoder reads."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one source step."""

    def load(self, item: Item) -> np.ndarray:
        """Source steps first, all other dimensions alike for every item.

        Raises:
            UserError: the file is not usable; the message names it and says why.
        """

    def to_image(self, source: Tensor) -> np.ndarray:
        """The reverse of ``to_tensor``, for people to look at."""

    def to_tensor(self, stored: np.ndarray) -> Tensor:
        """float32, mean near 0, so that zeros are fit for padding."""


def build_frontend(modality: str, options) -> Frontend:
    """The frontend of a modality. ``options``: its config, or the same as a dict."""
    values = dict(options) if hasattr(options, "items") else asdict(options)
    if modality == "audio":
        from s2s_plugin.datasets.frontends.audio import AudioConfig, AudioFrontend

        return AudioFrontend(AudioConfig(**values))
    if modality == "video":
        from s2s_plugin.datasets.frontends.video import VideoConfig, VideoFrontend

        return VideoFrontend(VideoConfig(**values))
    from s2s_plugin.datasets.frontends.image import ImageConfig, ImageFrontend

    return ImageFrontend(ImageConfig(**values))
