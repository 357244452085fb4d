"""What attention to a signal is drawn on: the recording, film or picture as the model saw it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from s2s_plugin.errors import UserError

SHAPES = {  # of the arrays that the generate stage writes
    "audio": ("frames x channels", 2),
    "video": ("frames x height x width", 3),
    "image": ("height x width x 3", 3),
}


@dataclass(frozen=True)
class Timed:
    """Frames in time; memory step s covers the frames ``s * stride`` to ``(s + 1) * stride - 1``."""

    frames: np.ndarray
    frame_seconds: float
    stride: int

    @property
    def seconds(self) -> float:
        """The length of the whole."""
        return len(self.frames) * self.frame_seconds

    @property
    def step_seconds(self) -> float:
        """The length of one memory step."""
        return self.stride * self.frame_seconds


class Sound(Timed):
    """Frames x mel channels: log energies of mean 0 and variance 1."""


class Film(Timed):
    """Frames x height x width: grey, 0 to 255."""


@dataclass(frozen=True)
class Picture:
    """Height x width x RGB, 0 to 255; the memory is a ``grid`` (rows, columns) of it, row by row."""

    pixels: np.ndarray
    grid: tuple[int, int]


Signal = Sound | Film | Picture


def read_signal(place: str, folder: Path, item: dict[str, Any], steps: int) -> Signal | None:
    """The signal of one line of ``attention.jsonl`` with ``steps`` memory steps; none where the source is text.

    ``place`` names the line in messages, ``folder`` is the run's.

    Raises:
        UserError: an unknown modality, no usable array, or one that does not fit the memory.
    """
    modality = item.get("modality")
    if modality is None:
        return None
    if modality not in SHAPES:
        raise UserError(f"{place}: modality is {modality!r}, which is not one of: {', '.join(SHAPES)}")
    if steps == 0:
        raise UserError(f"{place}: attention holds no numbers; run the generate stage again")
    values = _features(place, folder / str(item.get("features")), modality)
    if modality == "image":
        return Picture(values, _grid(place, item, steps))
    stride, seconds = item.get("stride"), item.get("seconds_per_frame")
    if not isinstance(stride, int) or stride < 1 or not isinstance(seconds, (int, float)) or seconds <= 0:
        raise UserError(
            f"{place}: stride is {stride!r} and seconds_per_frame {seconds!r}; both must be positive numbers; "
            "run the generate stage again"
        )
    if abs(steps * stride - len(values)) >= 2 * stride:
        raise UserError(
            f"{place}: {steps} memory steps of {stride} frames do not cover the {len(values)} frames of "
            f"{item['features']}; run the generate stage again"
        )
    return (Sound if modality == "audio" else Film)(values, float(seconds), stride)


def _features(place: str, path: Path, modality: str) -> np.ndarray:
    try:
        values = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"{place}: its features {path} are not there; run the generate stage again") from None
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{place}: {path} is no array of NumPy ({error}); run the generate stage again") from None
    axes, dimensions = SHAPES[modality]
    wrong_colours = modality == "image" and values.shape[-1:] != (3,)
    if values.ndim != dimensions or 0 in values.shape or wrong_colours:
        found = " x ".join(str(size) for size in values.shape)
        raise UserError(f"{place}: {path} is {found}, but {modality} needs {axes}; run the generate stage again")
    return values


def _grid(place: str, item: dict[str, Any], steps: int) -> tuple[int, int]:
    grid = item.get("grid")
    if not isinstance(grid, list) or [type(size) for size in grid] != [int, int] or min(grid) < 1:
        raise UserError(f"{place}: grid is {grid!r}, not [rows, columns]; run the generate stage again")
    rows, columns = grid
    if rows * columns != steps:
        raise UserError(
            f"{place}: a grid of {rows} x {columns} does not hold {steps} memory steps; run the generate stage again"
        )
    return rows, columns
