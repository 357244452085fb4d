"""Sound, pictures and frames in memory, as the media files that the frontends read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from s2s_plugin.datasets.frontends import check_installed
from s2s_plugin.errors import UserError


def write_array(array: np.ndarray, modality: str, rate: int | None, folder: Path) -> Path:
    """Write an array as a file, without loss, and return its path.

    Args:
        array: samples, or samples x channels, in [-1, 1] or 16-bit integers; a picture, height x width or height x
            width x 3, of 8 bits; or frames of a video, T x height x width (x 3).
        modality: audio, image or video.
        rate: of the samples, in Hz.
        folder: an empty one.

    Raises:
        UserError: the array is of another kind.
    """
    if modality == "audio":
        return _write_sound(array, rate, folder / "sound.wav")
    dimensions = array.ndim - (modality == "video")
    if array.dtype != np.uint8 or not (dimensions == 2 or (dimensions == 3 and array.shape[-1] == 3)) or not array.size:
        shape = "height x width (x 3)" if modality == "image" else "T x height x width (x 3)"
        raise UserError(f"{modality}: an array must be {shape} of uint8, got {_describe(array)}")
    check_installed(modality, modality, {"PIL": "pillow"})
    from PIL import Image

    if modality == "image":
        Image.fromarray(array).save(folder / "picture.png")
        return folder / "picture.png"
    for number, frame in enumerate(array):
        Image.fromarray(frame).save(folder / f"{number:06}.png")
    return folder


def _write_sound(array: np.ndarray, rate: int | None, path: Path) -> Path:
    if array.ndim not in (1, 2) or not (array.dtype == np.int16 or np.issubdtype(array.dtype, np.floating)):
        raise UserError(f"audio: an array must be samples (x channels) of float or int16, got {_describe(array)}")
    if rate is None:
        raise UserError("audio: an array of samples requires rate=, in Hz")
    check_installed("audio", "audio", {"soundfile": "soundfile"})
    import soundfile

    kind = "PCM_16" if array.dtype == np.int16 else "FLOAT"
    soundfile.write(path, array if kind == "PCM_16" else array.astype(np.float32), rate, subtype=kind)
    return path


def _describe(array: np.ndarray) -> str:
    return f"{' x '.join(map(str, array.shape))} of {array.dtype}"
