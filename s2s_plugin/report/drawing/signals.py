"""The signals that attention is drawn on, as the model saw them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Timed:
    """Frames in time; memory step s covers the frames ``s * stride`` to ``(s + 1) * stride - 1``."""

    frames: np.ndarray
    frame_seconds: float
    stride: int

    @property
    def seconds(self) -> float:
        """Return the total duration."""
        return len(self.frames) * self.frame_seconds

    @property
    def step_seconds(self) -> float:
        """Return the duration of a memory step."""
        return self.stride * self.frame_seconds


class Spectrogram(Timed):
    """Frames x mel channels: log energies of mean 0 and variance 1."""


class VideoFrames(Timed):
    """Frames x height x width: gray, 0 to 255."""


@dataclass(frozen=True)
class Picture:
    """Height x width x RGB, 0 to 255; the memory is a ``grid`` (rows, columns) of it, row by row."""

    pixels: np.ndarray
    grid: tuple[int, int]


Signal = Spectrogram | VideoFrames | Picture


def read_signal(folder: Path, item: dict[str, Any], steps: int) -> Signal | None:
    """Read the signal of a line of ``attention.jsonl``; None if the source is text.

    Args:
        folder: of the run.
        item: the line.
        steps: number of memory steps.

    Raises:
        ValueError: unknown modality, or a grid that does not fit the memory.
        OSError: the file of the signal is missing.
    """
    modality = item.get("modality")
    if modality is None:
        return None
    values = np.load(folder / item["features"], allow_pickle=False)
    match modality:
        case "audio":
            return Spectrogram(values, item["seconds_per_frame"], item["stride"])
        case "video":
            return VideoFrames(values, item["seconds_per_frame"], item["stride"])
        case "image":
            rows, columns = item["grid"]
            if rows * columns != steps:
                raise ValueError(f"a grid of {rows} x {columns} does not have {steps} memory steps")
            return Picture(values, (rows, columns))
    raise ValueError(f"modality must be audio, video or image, got {modality}")
